"""How the sheet looks beyond `resight.pages`, and what its few keys do."""

from __future__ import annotations

__all__ = ["SCRIPT", "STYLE"]

STYLE = """
.query {
  display: grid; gap: clamp(20px, 3vw, 48px);
  grid-template-columns: minmax(240px, min(56%, 430px * var(--ratio))) minmax(0, 1fr);
  align-items: start; padding-block: 8px 36px;
}
.query .photos { display: grid; gap: 12px; }
.query .photos.several { grid-template-columns: repeat(auto-fit, minmax(180px, 1fr)); }
figure figcaption { margin-top: 8px; color: var(--soft); font-size: .88rem; }
.legend { font-size: .95rem; max-width: 34rem; }
.legend dl { display: grid; gap: 12px; margin-top: 12px; }
.legend dd { margin: 4px 0 0; color: var(--soft); }
.toolbar {
  position: sticky; top: 0; z-index: 2; display: flex; flex-wrap: wrap; gap: 6px 22px; align-items: center;
  padding-block: 12px; background: var(--paper); border-bottom: 1px solid var(--line); font-size: .92rem;
}
.toolbar h2 { margin-right: auto; font-size: 1.2rem; }
.toolbar label { display: inline-flex; gap: 7px; align-items: center; cursor: pointer; color: var(--soft); }
.toolbar input { accent-color: var(--confirmed); width: 16px; height: 16px; }
.answers { list-style: none; padding: 0; margin-block: 20px 48px; display: grid; gap: 18px;
  grid-template-columns: repeat(12, minmax(0, 1fr)); }
.answer {
  background: var(--card); border: 1px solid var(--line); border-radius: 14px; overflow: hidden;
  box-shadow: var(--shadow); grid-column: span 3; display: flex; flex-direction: column; break-inside: avoid;
}
.answer.matched { grid-column: 1 / -1; display: grid; grid-template-columns: 256px minmax(0, 1fr); }
.facts { padding: 16px 18px 18px; display: grid; gap: 6px; align-content: start; }
.answer:not(.matched) .facts { order: 2; }
.first { display: flex; flex-wrap: wrap; align-items: center; gap: 6px 10px; }
.rank { font-size: 1.7rem; font-weight: 650; letter-spacing: -.03em; line-height: 1; }
.matched .first { flex-direction: column; align-items: flex-start; }
.answer:not(.matched) .rank { font-size: 1.25rem; }
.confirmed .pill, .pill.confirmed { background: var(--confirmed-wash); color: var(--confirmed); }
.likely .pill, .pill.likely { background: var(--likely-wash); color: var(--likely); }
.unlikely .pill, .pill.unlikely { background: var(--unlikely-wash); color: var(--unlikely); }
.name { font-size: .98rem; margin-top: 6px; }
.folder { overflow-wrap: anywhere; color: var(--soft); font-size: .82rem; line-height: 1.4; }
.numbers { display: flex; flex-wrap: wrap; gap: 4px 16px; margin-top: 4px; }
.numbers dt, .more dt { color: var(--soft); font-size: .76rem; }
.numbers dd { margin: 0; font-size: 1.06rem; font-weight: 600; }
.pill.unwanted { background: var(--likely-wash); color: var(--likely); }
.reason { color: var(--soft); font-size: .84rem; line-height: 1.45; }
.more { margin-top: 4px; padding-top: 8px; border-top: 1px solid var(--line); display: grid; gap: 2px; }
.more div { display: flex; flex-wrap: wrap; gap: 0 10px; font-size: .86rem; }
.more dt { font-size: inherit; }
.more dd { margin: 0; overflow-wrap: break-word; min-width: 0; }
.stage { background: var(--mat); display: grid; place-items: center; padding: 10px; height: 100%; }
.answer:not(.matched) .stage { padding: 0; }
.answer:not(.matched) .stage svg[role=img] { height: 190px; }
.stage button { all: unset; display: grid; place-items: center; width: 100%; cursor: zoom-in; }
.stage button:focus-visible, input:focus-visible { outline: 3px solid var(--confirmed); outline-offset: 2px; }
svg[role=img] { display: block; width: 100%; height: auto; max-height: 460px; }
.query svg[role=img] { max-height: 430px; max-width: calc(430px * var(--ratio)); border-radius: 10px; }
.unlikely .stage svg[role=img] { filter: grayscale(.85); opacity: .6; }
.unlikely .name, .unlikely .numbers dd { color: var(--soft); font-weight: 500; }
.photo { overflow: hidden; }
.missing rect { fill: var(--mat); stroke: var(--line); stroke-width: 4; stroke-dasharray: 14 10; }
.missing text { fill: var(--soft); text-anchor: middle; }
.dim { fill: #000; opacity: .34; }
.missing ~ .outline .dim { display: none; }
.edge { fill: none; stroke: var(--outline); stroke-width: 2.4px; stroke-linejoin: round; }
.edge, .matches line { vector-effect: non-scaling-stroke; }
.edge.under { stroke: #000; stroke-width: 5px; opacity: .45; }
.matches line { stroke-width: 1.25px; opacity: .8; }
.matches line:hover { stroke-width: 4px; opacity: 1; }
.matches circle { stroke: #000; stroke-opacity: .5; stroke-width: .8; }
.h0 { stroke: #ff6b6b; fill: #ff6b6b; } .h1 { stroke: #ff9f43; fill: #ff9f43; }
.h2 { stroke: #ffd93d; fill: #ffd93d; } .h3 { stroke: #a3e635; fill: #a3e635; }
.h4 { stroke: #34d399; fill: #34d399; } .h5 { stroke: #38bdf8; fill: #38bdf8; }
.h6 { stroke: #818cf8; fill: #818cf8; } .h7 { stroke: #e879f9; fill: #e879f9; }
.keypoints path { fill: none; stroke-width: 5.4px; stroke-linecap: round; opacity: .85; }
.a0 { stroke: #4454c4; background: #4454c4; } .a1 { stroke: #4490fe; background: #4490fe; }
.a2 { stroke: #1fc8de; background: #1fc8de; } .a3 { stroke: #29efa2; background: #29efa2; }
.a4 { stroke: #a2fc3c; background: #a2fc3c; } .a5 { stroke: #fabb39; background: #fabb39; }
.a6 { stroke: #f56b1a; background: #f56b1a; } .a7 { stroke: #d01a05; background: #d01a05; }
.toolbar i { display: inline-block; width: 9px; height: 9px; border-radius: 50%; }
.library { position: absolute; width: 0; height: 0; }
.empty { padding: 48px 0 64px; color: var(--soft); font-size: 1.1rem; }
body:has(#show-matches:not(:checked)) .matches { display: none; }
body:has(#show-outlines:not(:checked)) .outline { display: none; }
body:has(#show-keypoints:not(:checked)) .keypoints { display: none; }
body:has(#only-confirmed:checked) .answer:not(.confirmed) { display: none; }
dialog {
  border: 0; padding: 0; margin: auto; width: 100vw; height: 100dvh; max-width: none; max-height: none;
  background: rgb(10 10 11 / .96); color: #eee;
}
dialog[open] { display: grid; grid-template-rows: auto minmax(0, 1fr); }
dialog .bar { display: flex; flex-wrap: wrap; gap: 6px 16px; align-items: center; padding: 12px 18px; }
dialog .bar p { margin-right: auto; }
dialog .bar button {
  font: inherit; color: inherit; background: #2a2b2e; border: 0; border-radius: 8px; padding: 6px 14px;
  cursor: pointer;
}
dialog .view { overflow: auto; display: grid; place-items: center; padding: 8px; }
dialog .view svg[role=img] { width: min(100%, calc((100dvh - 90px) * var(--ratio))); max-height: none; }
@media (max-width: 900px) {
  .answer { grid-column: span 4; }
  .answer.matched { grid-template-columns: minmax(0, 1fr); }
  .answer.matched .stage { order: -1; }
  .matched .first { flex-direction: row; align-items: center; }
}
@media (max-width: 640px) {
  .query { grid-template-columns: minmax(0, 1fr); }
  .answer { grid-column: span 6; }
  .answers { gap: 12px; }
  .stage, .answer.matched .stage { padding: 0; }
  .answer:not(.matched) .stage svg[role=img] { height: 130px; }
  .answer:not(.matched) .facts { padding: 12px; }
  .toolbar { position: static; }
  .toolbar h2 { width: 100%; }
}
@media print {
  .toolbar label, dialog { display: none; }
  .toolbar { position: static; }
  .answer.matched { grid-template-columns: 190px minmax(0, 1fr); }
  svg[role=img] { max-height: 9cm; }
}
"""

SCRIPT = """
const dialog = document.querySelector("dialog");
const figures = [...document.querySelectorAll(".stage button")];
const shown = () => figures.filter(figure => figure.offsetParent !== null);
let current = null;
function show(figure) {
  current = figure;
  dialog.querySelector(".view").replaceChildren(figure.querySelector("svg").cloneNode(true));
  dialog.querySelector("p").textContent = figure.dataset.caption;
  if (!dialog.open) dialog.showModal();
}
function step(by) {
  const all = shown();
  show(all[(all.indexOf(current) + by + all.length) % all.length]);
}
figures.forEach(figure => figure.addEventListener("click", () => show(figure)));
dialog.addEventListener("click", event => {
  const by = event.target.dataset.step;
  if (by) step(Number(by)); else if (!event.target.closest("svg, p")) dialog.close();
});
dialog.addEventListener("close", () => current && current.focus());
dialog.addEventListener("keydown", event => {
  if (event.key === "ArrowRight") step(1);
  if (event.key === "ArrowLeft") step(-1);
});
"""
