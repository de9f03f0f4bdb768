// The list of boards by keys: up and down go from board to board, left and right from page to page; Enter opens one.
"use strict";

const links = [...document.querySelectorAll("#boards tbody a")];

document.addEventListener("keydown", (event) => {
  if (event.target.closest("input, select, textarea") || event.ctrlKey || event.altKey || event.metaKey) return;
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const page = { ArrowLeft: "newer", ArrowRight: "older" }[event.key];
  if (step && links.length) {
    event.preventDefault();
    const at = links.indexOf(document.activeElement);
    links[at < 0 ? 0 : Math.min(Math.max(at + step, 0), links.length - 1)].focus();
  } else if (page && !event.repeat) {
    document.getElementById(page)?.click();
  }
});
