/** Changes of the collection: begun here, told of by the server as they go on. */

import { Offline, call } from "./api.js";
import { count } from "./dom.js";
import { notice } from "./notices.js";

const listeners = new Set();
let jobs = [];
let version = null;

/** Calls a function with the jobs and the collection's version whenever one of them changes. */
export function onJobs(listener) {
  listeners.add(listener);
  listener(jobs, version);
}

const tell = () => listeners.forEach((listener) => listener(jobs, version));

/** Begins to follow what the server does. The browser connects again by itself. */
export function follow() {
  const events = new EventSource("/api/v1/events");
  events.addEventListener("jobs", (event) => {
    jobs = JSON.parse(event.data);
    tell();
  });
  events.addEventListener("collection", (event) => {
    version = JSON.parse(event.data).version;
    tell();
  });
  addEventListener("pagehide", () => events.close());
}

/** Resolves with a job when it has ended. */
export function ended(id) {
  return new Promise((resolve) => {
    const listener = (held) => {
      const job = held.find((each) => each.id === id);
      if (job?.state !== "done" && job?.state !== "failed") return;
      listeners.delete(listener);
      resolve(job);
    };
    onJobs(listener);
  });
}

/** Takes photos out of the collection, and offers to bring them back. Returns whether the server took it. */
export async function removePhotos(ids) {
  try {
    const job = await call("/remove", { method: "POST", json: { ids } });
    ended(job.id).then(({ state, removed, error }) => {
      if (state === "failed") notice(error, { bad: true });
      else notice(`${count(removed, "photo")} taken out of the collection. ${removed === 1 ? "Its file stays" : "The files stay"}.`, { action: "Undo", onaction: () => undo(job.id) });
    });
    return true;
  } catch (error) {
    say(error);
    return false;
  }
}

async function undo(id) {
  try {
    const job = await call(`/jobs/${id}/undo`, { method: "POST" });
    const { state, added, error } = await ended(job.id);
    if (state === "failed") notice(error, { bad: true });
    else notice(`${count(added, "photo is", "photos are")} back.`);
  } catch (error) {
    say(error);
  }
}

/** Sends photos to be added, in parts that the server takes at once; returns the jobs. */
export async function addPhotos(files, limits, onprogress = () => {}) {
  const begun = [];
  for (const part of inParts(files, limits)) {
    const form = new FormData();
    for (const file of part) form.append("photo", file, file.name);
    begun.push(await call("/photos", { method: "POST", form }));
    onprogress(part.length);
  }
  return begun;
}

function inParts(files, { max_bytes: mostBytes, max_photos: mostPhotos }) {
  const parts = [];
  let size = Infinity;
  for (const file of files) {
    // Room for the form around the files.
    if (size + file.size > 0.9 * mostBytes || parts.at(-1).length >= mostPhotos) {
      parts.push([]);
      size = 0;
    }
    parts.at(-1).push(file);
    size += file.size;
  }
  return parts;
}

/** Says what went wrong, unless the page says so already. */
export function say(error) {
  if (error.name !== "AbortError" && !(error instanceof Offline)) notice(error.message, { bad: true });
}
