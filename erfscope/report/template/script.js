"use strict";

/** Show the map's value under the pointer, or under a cursor that the arrow keys move. */
function readValues(frame, facts, values) {
  const [left, top, width, height] = frame.dataset.box.split(" ").map(Number);
  const cursor = frame.querySelector(".cursor");
  const readout = frame.parentElement.querySelector(".readout");
  let at = facts.center.map(Math.round);

  function show(y, x) {
    at = [y, x];
    const row = Math.floor(y / facts.block), column = Math.floor(x / facts.block);
    const share = 100 * values[row * facts.columns + column];
    const [dy, dx] = [y - facts.center[0], x - facts.center[1]].map((d) => (d < 0 ? "−" : "+") + Math.abs(d));
    const mean = facts.block > 1 ? `, mean over ${facts.block}×${facts.block} px` : "";
    readout.textContent =
      `y ${y}, x ${x} px (${dy}, ${dx} from the projected center): ${share.toPrecision(3)} % of the peak${mean}`;
    cursor.style.left = `${100 * (left + (width * (x + 0.5)) / facts.width)}%`;
    cursor.style.top = `${100 * (top + (height * (y + 0.5)) / facts.height)}%`;
    cursor.hidden = false;
  }

  function hide() {
    cursor.hidden = true;
    readout.textContent = "";
  }

  frame.addEventListener("pointermove", (event) => {
    const box = frame.querySelector("img").getBoundingClientRect();
    const x = Math.floor((((event.clientX - box.left) / box.width - left) / width) * facts.width);
    const y = Math.floor((((event.clientY - box.top) / box.height - top) / height) * facts.height);
    if (x >= 0 && y >= 0 && x < facts.width && y < facts.height) show(y, x);
    else hide();
  });
  frame.addEventListener("pointerleave", hide);
  frame.addEventListener("keydown", (event) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    const inside = (value, size) => Math.min(size - 1, Math.max(0, value));
    show(
      inside(at[0] + step[0] * facts.block, facts.height),
      inside(at[1] + step[1] * facts.block, facts.width),
    );
  });
}

for (const section of document.querySelectorAll("section.map")) {
  const facts = JSON.parse(section.querySelector(".values").textContent);
  const bytes = Uint8Array.from(atob(facts.values), (letter) => letter.charCodeAt(0));
  const values = new Float32Array(bytes.buffer);
  for (const frame of section.querySelectorAll(".frame")) readValues(frame, facts, values);
}

window.addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});
