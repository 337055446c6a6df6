/** Photos come in: picked, photographed, dropped or pasted. */

import { fill, icon, make } from "./dom.js";
import { notice } from "./notices.js";

/** Returns a button that opens the system's choice of files, or the camera. */
export function pickButton(words, drawing, onfiles, { multiple = false, capture = null, folder = false, ...values } = {}) {
  const input = make("input", {
    type: "file",
    accept: "image/*,.heic,.heif,.avif,.tif,.tiff",
    hidden: true,
    multiple,
    capture,
    webkitdirectory: folder,
    onchange: () => {
      const files = [...input.files];
      input.value = "";
      if (files.length) onfiles(files);
    },
  });
  const shown = make("button", { type: "button", ...values, onclick: () => input.click() }, icon(drawing), make("span", {}, words));
  return make("span", { class: "pick" }, shown, input);
}

/** Returns the files of a drop and how many folders were dropped; the files in folders are among them. */
async function filesOf(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const folders = entries.filter((entry) => entry.isDirectory);
  const files = [...transfer.files].filter((file) => !folders.some((folder) => folder.name === file.name && file.type === ""));
  for (const folder of folders) files.push(...(await inside(folder)));
  return { files, folders: folders.length };
}

async function inside(entry) {
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return found;
    for (const each of some) found.push(...(await inside(each)));
  }
}

/**
 * Takes drops and pastes anywhere on the page.
 * @param {() => [string, string][]} targets What a drop can mean now: its name and its words, the first by default.
 * @param {(files: File[], target: string, folders: number) => void} onfiles
 */
export function takeFiles(targets, onfiles) {
  const veil = document.getElementById("drop");
  let depth = 0;
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  const close = () => {
    depth = 0;
    veil.hidden = true;
  };
  addEventListener("dragenter", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    if (depth++ > 0) return;
    fill(veil, targets().map(([name, words]) => make("div", { class: "zone", "data-zone": name }, icon(name === "add" ? "plus" : name === "not" ? "not" : "search"), words)));
    veil.hidden = false;
  });
  addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    const over = event.target.closest?.("[data-zone]");
    for (const zone of veil.children) zone.classList.toggle("over", zone === over);
  });
  addEventListener("dragleave", (event) => {
    if (hasFiles(event) && --depth <= 0) close();
  });
  addEventListener("drop", async (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    const target = event.target.closest?.("[data-zone]")?.dataset.zone ?? targets()[0][0];
    close();
    const { files, folders } = await filesOf(event.dataTransfer);
    onfiles(files, target, folders);
  });
  document.addEventListener("paste", (event) => {
    if (event.target.matches?.("input, textarea")) return;
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length) onfiles(files, targets()[0][0], 0);
    else notice("The clipboard holds no photo. Copy a photo itself rather than its address, and paste again.");
  });
}
