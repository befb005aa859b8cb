// Before anything is drawn: the theme and the density that this browser was told to use.
(function () {
  let theme = "auto";
  try { theme = localStorage.getItem("aetherfs.theme") || "auto"; } catch { /* storage may be forbidden */ }
  document.documentElement.dataset.theme = theme === "dark" || theme === "light" ? theme : "auto";
  if (new URLSearchParams(location.search).has("wall")) document.documentElement.dataset.wall = "";
})();
