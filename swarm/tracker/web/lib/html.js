// What a page is written with: preact's parts, and htm instead of a build step. Text is text: nothing here sets HTML.
import { h, Fragment, render, createContext } from "../vendor/preact.module.js";
import htm from "../vendor/htm.module.js";

export { Fragment, render, createContext };
export { useState, useEffect, useLayoutEffect, useMemo, useCallback, useRef, useContext, useReducer, useId }
  from "../vendor/hooks.module.js";
export const html = htm.bind(h);
