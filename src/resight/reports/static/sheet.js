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
