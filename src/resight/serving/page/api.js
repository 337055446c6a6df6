/** The server's API, and what to do when it is away or busy. */

import { offline } from "./notices.js";

const API = "/api/v1";
const RETRIES = 4;
const ASKED_AGAIN = 1000;

/** A request that was refused; `message` is the server's sentence. */
export class Refused extends Error {
  constructor(status, sentence) {
    super(sentence);
    this.status = status;
  }
}

/** The server does not answer at all. */
export class Offline extends Error {}

const pause = (milliseconds) => new Promise((resume) => setTimeout(resume, milliseconds));

let waiting = null;

/** Resolves when the server answers again. */
export function online() {
  waiting ??= (async () => {
    offline("The server does not answer. This page goes on by itself when it is back.");
    for (;;) {
      await pause(ASKED_AGAIN);
      try {
        const answer = await fetch(`${API}/ready`, { cache: "no-store" });
        if (answer.ok) break;
      } catch {
        // Not yet.
      }
    }
    waiting = null;
    offline(null);
    document.dispatchEvent(new CustomEvent("resight-online"));
  })();
  return waiting;
}

/**
 * Returns what the server answers.
 * @throws {Refused} It refuses.
 * @throws {Offline} It does not answer.
 */
export async function call(path, { method = "GET", form, json, signal } = {}) {
  const body = form ?? (json === undefined ? undefined : JSON.stringify(json));
  const headers = json === undefined ? {} : { "content-type": "application/json" };
  for (let tries = 0; ; tries++) {
    let answer;
    try {
      answer = await fetch(API + path, { method, body, headers, signal });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      online();
      throw new Offline("The server does not answer.");
    }
    if (answer.ok) return answer.status === 204 ? null : answer.json();
    if (answer.status === 401) location.assign(`${API}/session`);
    if (answer.status === 503 && tries < RETRIES) {
      await pause(1000 * Number(answer.headers.get("retry-after") ?? 1));
      signal?.throwIfAborted();
      continue;
    }
    throw new Refused(answer.status, await sentenceOf(answer));
  }
}

async function sentenceOf(answer) {
  try {
    const { detail } = await answer.json();
    const sentence = typeof detail === "string" ? detail : JSON.stringify(detail);
    return sentence[0].toUpperCase() + sentence.slice(1) + (/[.!?]$/.test(sentence) ? "" : ".");
  } catch {
    return `The server answered with status ${answer.status}.`;
  }
}

/** Returns the address of a reduced photo whose long side has at least so many pixels of the screen. */
export function thumbnail(id, side) {
  const wanted = side * Math.min(devicePixelRatio || 1, 2);
  return `${API}/photos/${id}/thumbnail?side=${[256, 512, 1024].find((each) => each >= wanted) ?? 2048}`;
}

/** Returns the address of a photo's file. */
export const original = (id) => `${API}/photos/${id}`;

let facts = null;

/** Returns the collection in numbers; asked for anew where its version is known to be another. */
export async function collection(version) {
  const held = await facts?.catch(() => null);
  if (held && (version === null || version === undefined || held.version === version)) return held;
  facts = call("/collection");
  return facts;
}
