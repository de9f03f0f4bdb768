// Marks a defect that the line missed: a rectangle drawn on a whole picture, in pixels of that picture.
"use strict";

const missed = document.getElementById("missed");

function pointOn(picture, event) {
  const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(picture.getScreenCTM().inverse());
  const { width, height } = picture.viewBox.baseVal;
  return [Math.min(Math.max(point.x, 0), width), Math.min(Math.max(point.y, 0), height)];
}

function show(picture, [x1, y1], [x2, y2]) {
  document.querySelector(".drawn")?.remove();
  const mark = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  const box = { x: Math.min(x1, x2), y: Math.min(y1, y2), width: Math.abs(x2 - x1), height: Math.abs(y2 - y1) };
  for (const [name, value] of Object.entries(box)) mark.setAttribute(name, value);
  mark.setAttribute("class", "mark drawn");
  picture.append(mark);
  return box;
}

function fill(side, box) {
  const edges = { camera_id: side, x1: box.x, y1: box.y, x2: box.x + box.width, y2: box.y + box.height };
  for (const [name, value] of Object.entries(edges)) {
    missed.elements[name].value = typeof value === "number" ? value.toFixed(1) : value;
  }
  missed.querySelector("button").disabled = box.width < 2 || box.height < 2;
}

for (const picture of missed ? document.querySelectorAll("svg.whole") : []) {
  let from = null;
  picture.addEventListener("pointerdown", (event) => {
    from = pointOn(picture, event);
    picture.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  picture.addEventListener("pointermove", (event) => {
    if (from) fill(picture.dataset.side, show(picture, from, pointOn(picture, event)));
  });
  picture.addEventListener("pointerup", () => {
    from = null;
  });
}
