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
      const isPlace = parts?.[2] !== "near" || placeOf(parts[3]);
      if (parts && isPlace) asked.filters.push({ name: parts[1], sign: parts[2], value: parts[3] });
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
  const terms = filters.filter(({ value }) => value !== "").map(term);
  if (where.trim()) terms.push(`(${where.trim()})`);
  return terms.length ? terms.join(" AND ") : null;
}

const KILOMETRES_A_DEGREE = 111.32;
const AROUND = 1;

/** Returns latitude, longitude and kilometres (1 by default) of a place as people write it, null where it is none. */
export function placeOf(text) {
  const numbers = text.trim().split(/[\s,;]+/).map(Number);
  const [latitude, longitude, kilometres = AROUND] = numbers;
  const isPlace = numbers.length <= 3 && Math.abs(latitude) <= 90 && Math.abs(longitude) <= 180 && kilometres > 0;
  return isPlace ? { latitude, longitude, kilometres } : null;
}

/** Returns the condition of a square around a place, which may lie on both sides of the 180th meridian. */
function around({ latitude, longitude, kilometres }) {
  const north = kilometres / KILOMETRES_A_DEGREE;
  const east = north / Math.max(1e-6, Math.cos((latitude * Math.PI) / 180));
  const [low, high] = [latitude - north, latitude + north].map((each) => each.toFixed(5));
  const rows = `latitude BETWEEN ${low} AND ${high}`;
  if (!(east < 180)) return `(${rows} AND longitude IS NOT NULL)`;
  let [left, right] = [longitude - east, longitude + east];
  const wraps = left < -180 || right > 180;
  if (left < -180) left += 360;
  if (right > 180) right -= 360;
  const columns = wraps
    ? `(longitude >= ${left.toFixed(5)} OR longitude <= ${right.toFixed(5)})`
    : `longitude BETWEEN ${left.toFixed(5)} AND ${right.toFixed(5)}`;
  return `(${rows} AND ${columns})`;
}

function term({ name, sign, value }) {
  if (sign === "near") return around(placeOf(value));
  const column = `"${name}"`;
  const text = `'${value.replaceAll("'", "''")}'`;
  if (sign === "has") return `contains(lower(${column}), ${text.toLowerCase()})`;
  if (sign === "truth") return `${column} = ${value === "true"}`;
  return `${column} ${{ is: "=", least: ">=", most: "<=" }[sign]} ${text}`;
}
