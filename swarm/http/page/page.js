"use strict";
// Builds a form for every operation of openapi.json, sends it, and shows the answer as it comes.

const SHOWN_MAX = 200000;

const resolve = (schema, all) =>
  schema && schema.$ref ? resolve(all[schema.$ref.split("/").pop()], all) : schema || {};

function example(schema, all, depth = 0) {
  const known = resolve(schema, all);
  if (known.default !== undefined) return known.default;
  if (known.enum) return known.enum[0];
  if (known.anyOf) return example(known.anyOf[0], all, depth);
  if (known.type === "object" && depth < 4) {
    const required = new Set(known.required || []);
    const names = Object.keys(known.properties || {}).filter((name) => required.has(name) || depth === 0);
    return Object.fromEntries(names.map((name) => [name, example(known.properties[name], all, depth + 1)]));
  }
  return { array: [], object: {}, integer: 0, number: 0, boolean: false, null: null }[known.type] ?? "";
}

function field(form, name, value, kind) {
  const label = document.createElement("label");
  const input = document.createElement(kind === "body" ? "textarea" : "input");
  label.textContent = name + " ";
  input.value = value;
  input.dataset.kind = kind;
  input.dataset.name = name;
  input.spellcheck = false;
  label.append(input);
  form.querySelector(".fields").append(label);
}

function request(form, method, path) {
  const query = new URLSearchParams();
  const headers = {};
  let body;
  for (const input of form.querySelectorAll("[data-kind]")) {
    const { kind, name } = input.dataset;
    if (kind === "path") path = path.replace(`{${name}}`, input.value.split("/").map(encodeURIComponent).join("/"));
    else if (kind === "query" && input.value) query.set(name, input.value);
    else if (kind === "body") { body = input.value; headers["Content-Type"] = "application/json"; }
  }
  const token = document.getElementById("token").value.trim();
  if (token) headers.Authorization = `Bearer ${token}`;
  return [path + (query.size ? `?${query}` : ""), { method: method.toUpperCase(), headers, body }];
}

async function send(form, method, path) {
  const [go, stop] = form.querySelectorAll("button");
  const said = form.querySelector("output");
  const shown = form.querySelector("pre");
  const stopping = new AbortController();
  stop.onclick = () => stopping.abort();
  go.disabled = true;
  stop.hidden = shown.hidden = false;
  shown.textContent = said.textContent = "";
  try {
    const [url, options] = request(form, method, path);
    const answer = await fetch(url, { ...options, signal: stopping.signal });
    said.textContent = `${answer.status} ${answer.headers.get("Content-Type") || ""}`;
    said.className = answer.ok ? "" : "bad";
    const text = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let part = await text.read(); !part.done; part = await text.read()) {
      shown.textContent = (shown.textContent + part.value).slice(-SHOWN_MAX);
    }
  } catch (error) {
    said.textContent = error.name === "AbortError" ? "stopped" : String(error);
    said.className = "bad";
  } finally {
    go.disabled = false;
    stop.hidden = true;
  }
}

function show(method, path, operation, all) {
  const part = document.getElementById("operation").content.cloneNode(true);
  const form = part.querySelector("form");
  part.querySelector("b").textContent = method.toUpperCase();
  part.querySelector("code").textContent = path;
  part.querySelector("span").textContent = operation.summary || "";
  part.querySelector("i").textContent = operation["x-access"] || "";
  for (const each of operation.parameters || []) field(form, each.name, "", each.in);
  const json = operation.requestBody && operation.requestBody.content["application/json"];
  if (json) field(form, "body", JSON.stringify(example(json.schema, all), null, 2), "body");
  form.onsubmit = (event) => { event.preventDefault(); send(form, method, path); };
  document.getElementById("operations").append(part);
}

async function start() {
  const told = await (await fetch("openapi.json")).json();
  document.getElementById("title").textContent = document.title = told.info.title;
  for (const [path, methods] of Object.entries(told.paths)) {
    for (const [method, operation] of Object.entries(methods)) show(method, path, operation, told.components.schemas);
  }
}

start();
