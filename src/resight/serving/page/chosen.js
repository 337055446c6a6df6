/** Chosen photos: downloaded, named, or taken out of the collection. */

import { call, original } from "./api.js";
import { button, copyText, count, fill, make, nameOf } from "./dom.js";
import { removePhotos } from "./jobs.js";
import { notice } from "./notices.js";
import { zip } from "./zip.js";

class Chooser {
  constructor() {
    this.held = new Map();
    this.listeners = new Set();
  }

  has(id) {
    return this.held.has(id);
  }

  /** Chooses a photo, or takes it back; photos are `{id, path}`. */
  flip(photo, isChosen = !this.has(photo.id)) {
    if (isChosen) this.held.set(photo.id, photo.path);
    else this.held.delete(photo.id);
    this.tell();
  }

  clear() {
    this.held.clear();
    this.tell();
  }

  tell() {
    for (const box of document.querySelectorAll("input[data-choose]")) {
      box.checked = this.has(Number(box.dataset.choose));
      box.closest(".card")?.classList.toggle("chosen", box.checked);
    }
    document.body.classList.toggle("choosing", this.held.size > 0);
    this.show();
  }

  /** Returns the box that chooses a photo. */
  box(photo, name) {
    return make(
      "label",
      { class: "choose" },
      make("input", {
        type: "checkbox",
        tabindex: "-1",
        "data-choose": photo.id,
        "aria-label": `Choose ${name}`,
        ".checked": this.has(photo.id),
        onchange: (event) => this.flip(photo, event.target.checked),
      }),
    );
  }

  show() {
    const bar = document.getElementById("chosen");
    bar.hidden = this.held.size === 0;
    if (bar.hidden) return;
    const words = make("b", {}, `${this.held.size.toLocaleString("en")} chosen`);
    if (bar.childElementCount) {
      bar.firstElementChild.replaceWith(words);
      return;
    }
    fill(
      bar,
      words,
      button("download", "Download", () => this.download(), { class: "soft" }),
      button("copy", "Copy paths", () => this.copy(), { class: "soft" }),
      button("remove", "Remove", () => this.remove(), { class: "soft" }),
      button("close", "Choose none", () => this.clear(), { quiet: true, class: "round" }),
    );
  }

  async copy() {
    await copyText([...this.held.values()].join("\n"));
    notice(`${count(this.held.size, "path")} copied.`);
  }

  async download() {
    const photos = [...this.held].map(([id, path]) => ({ id, path }));
    try {
      await download(photos);
    } catch (error) {
      notice(error.message, { bad: true });
    }
  }

  async remove() {
    const ids = [...this.held.keys()];
    if (await removePhotos(ids)) this.clear();
  }
}

export const chooser = new Chooser();

/** Saves a photo's file; of several, one archive. */
export async function download(photos) {
  if (photos.length === 1) {
    save(original(photos[0].id), nameOf(photos[0].path));
    return;
  }
  const files = [];
  const names = new Set();
  for (const { id, path } of photos) {
    const answer = await fetch(original(id));
    if (!answer.ok) throw new Error(`${nameOf(path)} cannot be downloaded: its file is not here.`);
    files.push({ name: unused(nameOf(path), names), content: new Uint8Array(await answer.arrayBuffer()) });
  }
  const url = URL.createObjectURL(new Blob(zip(files), { type: "application/zip" }));
  save(url, "photos.zip");
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

function unused(name, names) {
  const [, stem, suffix] = /^(.*?)(\.[^.]*)?$/s.exec(name);
  let free = name;
  for (let number = 2; names.has(free.toLowerCase()); number++) free = `${stem} (${number})${suffix ?? ""}`;
  names.add(free.toLowerCase());
  return free;
}

function save(url, name) {
  const link = make("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
}

/** Returns what is known of a photo. */
export const infoOf = (id) => call(`/photos/${id}/info`);
