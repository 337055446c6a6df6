/** The search in the address bar: what a link to it holds. */

/**
 * @typedef {Object} Asked What is searched for.
 * @property {Asking[]} photos Query photos.
 * @property {boolean} verify Whether geometry checks the answers.
 * @property {boolean} expand Whether the best answers enrich the query.
 * @property {Filter[]} filters
 * @property {string} where SQL condition, for those who want to write one.
 * @property {number|null} open Number of the answer that is shown beside the query.
 * @property {"search"|"collection"} view
 *
 * @typedef {Object} Asking A query photo.
 * @property {number|null} id Number in the collection, null for an upload.
 * @property {string|null} key Name of an upload in this browser, null for a photo of the collection.
 * @property {number[]|null} box x0, y0, x1, y1 in pixels of the whole photo.
 * @property {boolean} wanted False for what the answers must not show.
 *
 * @typedef {{name: string, sign: string, value: string}} Filter
 */

/** Returns a search for nothing. */
export const nothing = () => ({
  photos: [], verify: true, expand: false, filters: [], where: "", open: null, view: "search",
});

/** Returns what an address asks for; what it does not understand is left out. */
export function read(address) {
  const values = new URL(address).searchParams;
  const asked = nothing();
  for (const [name, value] of values) {
    if (name === "photo" || name === "not") {
      const photo = readPhoto(value, name === "photo");
      if (photo) asked.photos.push(photo);
    } else if (name === "filter") {
      const parts = /^(\w+)\.(is|truth|least|most|has|near)\.(.*)$/s.exec(value);
      if (parts) asked.filters.push({ name: parts[1], sign: parts[2], value: parts[3] });
    }
  }
  asked.verify = values.get("verify") !== "0";
  asked.expand = values.get("expand") === "1";
  asked.where = values.get("where") ?? "";
  const open = values.get("open") ?? "";
  asked.open = /^\d{1,18}$/.test(open) ? Number(open) : null;
  asked.view = values.get("view") === "collection" ? "collection" : "search";
  return asked;
}

function readPhoto(text, wanted) {
  const parts = /^(?:(\d{1,18})|u-([0-9a-f]{16}))(?:@(-?[\d.]+),(-?[\d.]+),(-?[\d.]+),(-?[\d.]+))?$/.exec(text);
  if (!parts) return null;
  const box = parts[3] === undefined ? null : parts.slice(3, 7).map(Number);
  return {
    id: parts[1] === undefined ? null : Number(parts[1]),
    key: parts[2] ?? null,
    box: box && box.every(Number.isFinite) && box[0] < box[2] && box[1] < box[3] ? box : null,
    wanted,
  };
}

/** Returns the address of a search, relative to this server. */
export function write(asked) {
  const values = new URLSearchParams();
  if (asked.view === "collection") values.append("view", "collection");
  for (const photo of asked.photos) {
    const name = photo.id === null ? `u-${photo.key}` : String(photo.id);
    const box = photo.box ? `@${photo.box.map((each) => Math.round(each * 10) / 10).join(",")}` : "";
    values.append(photo.wanted ? "photo" : "not", name + box);
  }
  for (const { name, sign, value } of asked.filters) values.append("filter", `${name}.${sign}.${value}`);
  if (asked.where) values.append("where", asked.where);
  if (!asked.verify) values.append("verify", "0");
  if (asked.expand) values.append("expand", "1");
  if (asked.open !== null) values.append("open", String(asked.open));
  // Commas and @ may stand as they are: people read these addresses.
  const text = values.toString().replaceAll("%2C", ",").replaceAll("%40", "@");
  return text ? `/?${text}` : "/";
}

/** Returns the SQL condition of all filters, null for none. */
export function condition({ filters, where }) {
  const terms = filters.filter(({ value }) => value !== "").map(term).filter(Boolean);
  if (where.trim()) terms.push(`(${where.trim()})`);
  return terms.length ? terms.join(" AND ") : null;
}

const EARTH = 111.32;

function term({ name, sign, value }) {
  if (sign === "near") {
    const [latitude, longitude, kilometres] = value.split(",").map(Number);
    if (![latitude, longitude, kilometres].every(Number.isFinite)) return null;
    const north = kilometres / EARTH;
    const east = kilometres / (EARTH * Math.max(0.01, Math.cos((latitude * Math.PI) / 180)));
    const between = (column, middle, reach) =>
      `${column} BETWEEN ${(middle - reach).toFixed(5)} AND ${(middle + reach).toFixed(5)}`;
    return `(${between("latitude", latitude, north)} AND ${between("longitude", longitude, east)})`;
  }
  const column = `"${name}"`;
  const text = `'${value.replaceAll("'", "''")}'`;
  if (sign === "has") return `contains(lower(${column}), ${text.toLowerCase()})`;
  if (sign === "truth") return `${column} = ${value === "true"}`;
  return `${column} ${{ is: "=", least: ">=", most: "<=" }[sign]} ${text}`;
}
