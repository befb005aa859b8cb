// What a page is written with: preact's parts, and htm instead of a build step. Text is text: nothing here sets HTML.
import { h, Fragment, render, createContext, options } from "../vendor/preact.module.js";
import htm from "../vendor/htm.module.js";

export { Fragment, render, createContext };
export { useState, useEffect, useLayoutEffect, useMemo, useCallback, useRef, useContext, useReducer, useId }
  from "../vendor/hooks.module.js";
export const html = htm.bind(h);

// What changes within a frame is drawn with it, once: a second's messages come together, each for several parts of a page.
options.debounceRendering = (draw) => { if (document.hidden) setTimeout(draw); else requestAnimationFrame(draw); };
