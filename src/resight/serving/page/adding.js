/** Photos and folders come into the collection. */

import { call } from "./api.js";
import { button, count, make } from "./dom.js";
import { addPhotos, ended, say } from "./jobs.js";
import { notice } from "./notices.js";
import { NoPhoto, check } from "./photos.js";
import { go } from "./state.js";

let server = null;

/** Returns what the server takes and allows. */
export const settings = () => {
  server ??= call("/server");
  server.catch(() => (server = null));
  return server;
};

/** Adds files that were dropped or picked; what is no photo is passed over and told of. */
export async function addDropped(files) {
  try {
    const { limits } = await settings();
    const [photos, refused] = [[], []];
    for (const file of files) {
      try {
        check(file, limits);
        photos.push(file);
      } catch (error) {
        if (!(error instanceof NoPhoto)) throw error;
        refused.push(error.message);
      }
    }
    if (refused.length === 1) notice(refused[0], { bad: true });
    else if (refused.length) notice(`${count(refused.length, "file is", "files are")} passed over: no photos, or too large.`, { bad: true });
    if (!photos.length) return;
    go({ view: "collection", open: null });
    if (photos.length > limits.max_photos) notice(`${count(photos.length, "photo")} are being sent.`);
    const jobs = await addPhotos(photos, limits);
    const last = await Promise.all(jobs.map((job) => ended(job.id)));
    sayAdded(last);
  } catch (error) {
    say(error);
  }
}

/** Adds a folder of the server's machine, and follows it where that is wanted. */
export async function addByPath(path, isWatched) {
  if (!path.trim()) return false;
  try {
    const job = await call(isWatched ? "/watches" : "/folders", { method: "POST", json: { path: path.trim() } });
    go({ view: "collection", open: null });
    ended(job.id).then((held) => sayAdded([held]));
    return true;
  } catch (error) {
    say(error);
    return false;
  }
}

function sayAdded(jobs) {
  const sum = (name) => jobs.reduce((all, job) => all + job[name], 0);
  const failed = jobs.find((job) => job.state === "failed");
  if (failed) notice(failed.error, { bad: true });
  const [added, updated, broken] = [sum("added"), sum("updated"), jobs.reduce((all, job) => all + job.broken.length, 0)];
  const parts = [];
  if (added) parts.push(`${count(added, "photo")} added`);
  if (updated) parts.push(`${updated.toLocaleString("en")} updated`);
  if (broken) parts.push(`${count(broken, "file")} cannot be read: see “Not searched”`);
  if (!parts.length && !failed) parts.push("Nothing new: these photos are in the collection");
  if (parts.length) notice(`${parts.join(", ")}.`, { bad: broken > 0 && !added });
}

/** Returns the field that names a folder, with the choice of following it; nothing where the server is not at hand. */
export function folderField(onadd) {
  const path = make("input", { type: "text", name: "path", placeholder: "~/Pictures", autocomplete: "off", spellcheck: "false", "aria-label": "Folder of this computer" });
  const watch = make("input", { type: "checkbox", name: "watch" });
  const form = make(
    "form",
    {
      class: "folder-field",
      hidden: true,
      onsubmit: async (event) => {
        event.preventDefault();
        if (await onadd(path.value, watch.checked)) path.value = "";
      },
    },
    make("div", { class: "line" }, path, button("plus", "Add folder", () => {}, { class: "main", type: "submit" })),
    make("label", { class: "check" }, watch, " watch it: what is added there later comes in by itself"),
  );
  settings().then(({ folders }) => (form.hidden = !folders), () => {});
  return form;
}
