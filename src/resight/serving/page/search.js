/** The view that searches: greeting and photos without a query, else the query and its answers. */

import { call, collection } from "./api.js";
import { condition } from "./address.js";
import { Ask, greeting } from "./ask.js";
import { Compare } from "./compare.js";
import { button, copyText, fill, make } from "./dom.js";
import { FilterRows } from "./filters.js";
import { onJobs, say } from "./jobs.js";
import { notice } from "./notices.js";
import { formOf } from "./photos.js";
import { Browse, Results } from "./results.js";
import { now } from "./state.js";
import { welcome } from "./welcome.js";

const FIRST = 60;
const MORE = 100;
const EXPANDED = 3;

/** Shows what is asked for in the search view. */
export class SearchView {
  /** @param {(files: File[], target: string) => void} onfiles Photos came in: `search`, `more` or `not`. */
  constructor(onfiles) {
    this.element = document.getElementById("search");
    this.onfiles = onfiles;
    this.results = new Results(() => this.more());
    const share = button("link", "Copy link", () => this.copyLink(), { class: "soft share" });
    this.ask = new Ask((files, wanted) => onfiles(files, wanted ? "more" : "not"), share);
    this.browse = new Browse();
    this.filters = new FilterRows();
    this.compare = new Compare(() => this.hits);
    this.hits = [];
    onJobs((_, version) => {
      const isNew = this.version !== undefined && version !== null && version !== this.version;
      this.version = version ?? this.version;
      this.ask.filters.version = this.filters.version = version;
      if (isNew) this.changed();
    });
  }

  /** The collection has changed: what is shown may be gone, or more may be there. */
  changed() {
    this.done = null;
    if (!this.element.hidden && now().view === "search") this.show(now());
  }

  async show(asked) {
    this.element.hidden = asked.view !== "search";
    document.title = asked.view === "search" && asked.photos.length ? "Search · Resight" : "Resight";
    if (asked.view === "search") {
      if (this.isNew(asked)) this.results.setWorking(true);
      try {
        this.facts = await collection(this.version);
        if (asked !== now()) return;
        await (asked.photos.some((photo) => photo.wanted) ? this.showQuery(asked) : this.showHome(asked));
      } catch (error) {
        this.results.setWorking(false);
        say(error);
      }
    }
    // A search that ends after something else was asked opens and closes nothing.
    if (asked === now()) await this.compare.show(asked);
  }

  /** Returns whether answers are asked for that are neither shown nor under way. */
  isNew(asked) {
    return asked.photos.some((photo) => photo.wanted) && this.done !== this.nameOf(asked);
  }

  async showHome(asked) {
    this.abort?.abort();
    this.isSearching = false;
    this.results.setWorking(false);
    this.done = null;
    if (this.facts.photos === 0) {
      this.put("welcome", () => [welcome()]);
      return;
    }
    this.put("home", () => [greeting((files) => this.onfiles(files, "search")), this.filters.element, this.browse.element]);
    this.filters.show(asked);
    await this.browse.show(condition(asked), this.facts.version);
  }

  async showQuery(asked) {
    this.put("query", () => [make("div", { class: "columns" }, make("div", { class: "aside" }, this.ask.element), this.results.element)]);
    // An answer that is opened or closed changes nothing of the query.
    const query = JSON.stringify({ ...asked, open: null });
    const shown = this.query === query ? null : this.ask.show(asked, this.facts.verifies);
    this.query = query;
    if (this.isNew(asked)) {
      this.done = this.nameOf(asked);
      await this.search(asked, this.done);
    } else {
      this.results.setWorking(this.isSearching);
    }
    await shown;
  }

  /** Puts parts on the view, unless it shows them already. */
  put(name, parts) {
    if (this.putName === name) return;
    this.putName = name;
    this.query = null;
    this.element.className = name;
    fill(this.element, parts());
  }

  nameOf({ photos, verify, expand, ...filtered }) {
    return JSON.stringify([photos, verify, expand, condition(filtered)]);
  }

  /** Returns what stays the same when a switch is flipped. */
  sameAs({ photos, ...filtered }) {
    return JSON.stringify([photos, condition(filtered)]);
  }

  async search(asked, name) {
    this.abort?.abort();
    this.abort = new AbortController();
    const { signal } = this.abort;
    const same = this.sameAs(asked);
    const isFlipped = this.same === same && this.flips !== `${asked.verify} ${asked.expand}` && this.hits.length > 0;
    const before = isFlipped ? new Map(this.hits.map((hit) => [hit.id, hit.rank])) : null;
    this.isSearching = true;
    this.results.setWorking(true);
    try {
      const answer = await this.answer(asked, 0, FIRST, signal);
      if (this.done !== name) return;
      [this.same, this.flips] = [same, `${asked.verify} ${asked.expand}`];
      if (!isFlipped) scrollTo({ top: 0 });
      this.take(answer, [], before, asked);
    } catch (error) {
      if (error.name === "AbortError" || this.done !== name) return;
      this.done = null;
      this.same = null;
      this.hits = [];
      this.results.fail(error.message);
    } finally {
      if (this.abort.signal === signal) {
        this.isSearching = false;
        this.results.setWorking(false);
      }
    }
  }

  async answer(asked, offset, top, signal) {
    const { form, order } = await formOf(asked.photos);
    signal?.throwIfAborted();
    form.append("top", top);
    form.append("offset", offset);
    form.append("verify", asked.verify && this.facts.verifies ? "auto" : "0");
    if (asked.expand) form.append("expand", EXPANDED);
    const where = condition(asked);
    if (where) form.append("where", where);
    const answer = await call("/search", { method: "POST", form, signal });
    for (const hit of answer.hits) hit.photo = order[hit.query ?? 0];
    return answer;
  }

  take(answer, earlier, before, asked) {
    const own = new Set(asked.photos.map(({ id }) => id));
    const known = new Set(earlier.map(({ id }) => id));
    const fresh = answer.hits.filter(({ id }) => !own.has(id) && !known.has(id));
    this.hits = [...earlier, ...fresh];
    this.offset = (this.offset ?? 0) + answer.hits.length;
    if (!earlier.length) this.offset = answer.hits.length;
    this.hasMore = answer.more;
    const { searched, seconds, notes, found } = earlier.length ? this.first : answer;
    this.first = { searched, seconds, notes, found };
    this.results.show(this.hits, { ...this.first, more: answer.more }, { moved: before, isVerified: asked.verify && this.facts.verifies });
  }

  /** Brings further answers, when the last one is near. */
  async more() {
    if (!this.hasMore || this.isLoading || this.isNew(now())) return;
    this.isLoading = true;
    const { done } = this;
    const asked = now();
    try {
      const limits = this.limits ?? (this.limits = (await call("/server")).limits);
      const top = Math.min(MORE, limits.max_top - this.offset);
      if (top <= 0) {
        this.hasMore = false;
        return;
      }
      const answer = await this.answer(asked, this.offset, top, this.abort.signal);
      if (this.done === done) this.take(answer, this.hits, this.results.before, asked);
    } catch (error) {
      say(error);
    } finally {
      this.isLoading = false;
    }
  }

  async copyLink() {
    await copyText(location.href);
    const uploads = now().photos.filter(({ id }) => id === null).length;
    notice(
      uploads
        ? "Link copied. It opens in this browser alone, since the photo you brought is not in the collection."
        : "Link copied. Whoever can open this server sees this search.",
    );
  }
}
