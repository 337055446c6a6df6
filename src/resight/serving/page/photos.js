/** Query photos: uploads are kept in this browser alone, so that reloading, the back button and links work. */

import { call, original, thumbnail } from "./api.js";
import { bytes, nameOf } from "./dom.js";

const KEPT = 60;
const SUFFIXES = /\.(jpe?g|jfif|png|webp|gif|bmp|tiff?|avif|hei[cf]|pp?m|pgm|pnm|jp2)$/i;
const SHOWN = 1024;

/** A file that cannot be searched for; `message` says why. */
export class NoPhoto extends Error {}

/** Throws `NoPhoto` where a file is none, as far as its name and type tell. */
export function check(file, limits) {
  const isPhoto = file.type ? file.type.startsWith("image/") && !file.type.includes("svg") : SUFFIXES.test(file.name);
  if (!isPhoto && !SUFFIXES.test(file.name)) {
    throw new NoPhoto(`“${file.name}” is no photo. JPEG, PNG, WebP, HEIC, AVIF, TIFF and the like can be searched for.`);
  }
  if (file.size === 0) throw new NoPhoto(`“${file.name}” is empty.`);
  if (limits && file.size > limits.max_bytes) {
    throw new NoPhoto(
      `“${file.name}” has ${bytes(file.size)}, and this server takes ${bytes(limits.max_bytes)} at once. ` +
        "Save it smaller: half a megabyte is enough for a search.",
    );
  }
}

let opened = null;

function database() {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open("resight", 1);
    request.onupgradeneeded = () => request.result.createObjectStore("photos", { keyPath: "key" });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return opened;
}

async function inStore(mode, work) {
  const held = await database();
  return new Promise((resolve, reject) => {
    const request = work(held.transaction("photos", mode).objectStore("photos"));
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

const inMemory = new Map();

/** Keeps a file in this browser, and returns the query photo that names it. */
export async function keep(file) {
  const random = crypto.getRandomValues(new Uint8Array(8));
  const key = [...random].map((each) => each.toString(16).padStart(2, "0")).join("");
  const held = { key, file, name: file.name || "pasted photo", at: Date.now() };
  inMemory.set(key, held);
  try {
    await inStore("readwrite", (store) => store.put(held));
    await forgetOldest();
  } catch {
    // A private window may refuse: the photo lasts as long as this tab.
  }
  return { id: null, key, box: null, wanted: true };
}

async function forgetOldest() {
  const all = await inStore("readonly", (store) => store.getAll());
  const old = all.sort((a, b) => b.at - a.at).slice(KEPT);
  for (const { key } of old) await inStore("readwrite", (store) => store.delete(key));
}

/** Returns an uploaded file; undefined in a browser that it was not dropped in. */
export async function fileOf(key) {
  if (inMemory.has(key)) return inMemory.get(key).file;
  try {
    const held = await inStore("readonly", (store) => store.get(key));
    if (held) inMemory.set(key, held);
    return held?.file;
  } catch {
    return undefined;
  }
}

const shown = new Map();

/**
 * Returns how a query photo is shown: `{src, width, height, name, path}`.
 * @throws {NoPhoto} The file is in another browser, or cannot be read.
 */
export function pictureOf({ id, key }) {
  const name = key ?? `id-${id}`;
  if (!shown.has(name)) {
    const picture = id === null ? uploaded(key) : collected(id);
    shown.set(name, picture);
    // What failed may go well another time.
    picture.catch(() => shown.delete(name));
  }
  return shown.get(name);
}

async function collected(id) {
  const { width, height, name, path } = await call(`/photos/${id}/info`);
  return { src: thumbnail(id, SHOWN), small: thumbnail(id, 200), width, height, name, path };
}

async function uploaded(key) {
  const file = await fileOf(key);
  if (!file) {
    throw new NoPhoto("This link searches with a photo that is only in the browser it was dropped in. Drop that photo here.");
  }
  const name = file.name || "pasted photo";
  let src = URL.createObjectURL(file);
  let size = await sizeOf(src);
  if (!size) {
    // A format that this browser does not show, such as HEIC: the server draws it.
    URL.revokeObjectURL(src);
    const form = new FormData();
    form.append("photo", file);
    const drawn = await call("/preview", { method: "POST", form });
    src = drawn.picture;
    size = drawn;
  }
  return { src, small: src, width: size.width, height: size.height, name, path: name };
}

async function sizeOf(src) {
  const image = new Image();
  image.src = src;
  try {
    await image.decode();
  } catch {
    return null;
  }
  return { width: image.naturalWidth, height: image.naturalHeight };
}

/** Returns the part of a query photo in its box as a file. */
export async function cropped(photo) {
  const { src, width } = await pictureOf(photo);
  const image = new Image();
  image.src = photo.id === null ? src : original(photo.id);
  try {
    await image.decode();
  } catch {
    image.src = src;
    await image.decode();
  }
  const scale = image.naturalWidth / width;
  const [x0, y0, x1, y1] = photo.box.map((each) => each * scale);
  const canvas = new OffscreenCanvas(Math.max(1, Math.round(x1 - x0)), Math.max(1, Math.round(y1 - y0)));
  canvas.getContext("2d").drawImage(image, -x0, -y0);
  return canvas.convertToBlob({ type: "image/png" });
}

/**
 * Returns the form that searches, and the photos in the order in which the server counts them.
 * A box belongs to a single photo there; parts of several are cut out here.
 */
export async function formOf(photos) {
  const form = new FormData();
  const wanted = photos.filter((photo) => photo.wanted);
  const isCut = (photo) => photo.box && (wanted.length > 1 || !photo.wanted);
  const sent = photos.filter((photo) => photo.id === null || isCut(photo));
  const named = photos.filter((photo) => !sent.includes(photo));
  for (const photo of sent) {
    const file = isCut(photo) ? await cropped(photo) : await fileOf(photo.key);
    if (!file) await pictureOf(photo);
    form.append(photo.wanted ? "photo" : "without", file, nameOf(file.name || "photo.png"));
  }
  for (const photo of named) form.append(photo.wanted ? "id" : "without_id", photo.id);
  if (wanted.length === 1 && wanted[0].box) form.append("box", wanted[0].box.join(","));
  return { form, order: [...sent, ...named].filter((photo) => photo.wanted) };
}
