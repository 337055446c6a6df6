/** The page begins here: what comes in goes to the view that is shown. */

import { collection } from "./api.js";
import { addDropped, settings } from "./adding.js";
import { chooser } from "./chosen.js";
import { CollectionView } from "./collection.js";
import { count } from "./dom.js";
import { follow, onJobs, say } from "./jobs.js";
import { notice } from "./notices.js";
import { NoPhoto, check, keep } from "./photos.js";
import { takeFiles } from "./pick.js";
import { SearchView } from "./search.js";
import { go, now, onchange } from "./state.js";

const MOST_DROPPED = 8;

/** Takes photos for the search: as a new query (`search`), as more of it (`more`), as what it must not be (`not`). */
async function searchFor(files, target, folders = 0) {
  try {
    if (folders || files.length > MOST_DROPPED) {
      const what = folders ? "A folder is not searched for" : `${count(files.length, "photo")} at once are too many for a search`;
      if (files.length) notice(`${what}: show one photo, or a few of one thing.`, { action: `Add ${count(files.length, "file")} to the collection`, onaction: () => addDropped(files) });
      else notice(`${what}, and this one is empty.`, { bad: true });
      return;
    }
    const { limits } = await settings();
    for (const file of files) check(file, limits);
    const photos = [];
    for (const file of files) photos.push({ ...(await keep(file)), wanted: target !== "not" });
    go({ photos: target === "search" ? photos : [...now().photos, ...photos], open: null, view: "search" });
  } catch (error) {
    if (error instanceof NoPhoto) notice(error.message, { bad: true });
    else say(error);
  }
}

function targets() {
  if (now().view === "collection") return [["add", "Add to the collection"]];
  if (!now().photos.length) return held === 0 ? [["add", "Add to the collection"]] : [["search", "Search with this"]];
  return [["search", "A new search"], ["more", "Another view of it"], ["not", "It must not be this"]];
}

let held = null;
let counted;

const views = [new SearchView(searchFor), new CollectionView()];

function show(asked) {
  for (const link of document.querySelectorAll("nav [data-view]")) {
    if (link.dataset.view === asked.view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  for (const view of views) view.show(asked);
}

takeFiles(targets, (files, target, folders) => (target === "add" ? addDropped(files) : searchFor(files, target, folders)));
onchange(show);
onJobs(async (jobs, version) => {
  document.body.classList.toggle("indexing", jobs.some(({ state }) => state === "running"));
  if (version === counted) return;
  counted = version;
  try {
    const { photos } = await collection(version);
    held = photos;
    document.getElementById("count").textContent = photos.toLocaleString("en");
  } catch (error) {
    counted = undefined;
    say(error);
  }
});
document.addEventListener("resight-online", () => show(now()));
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && chooser.held.size && !document.querySelector("dialog[open]")) chooser.clear();
});
follow();
show(now());
