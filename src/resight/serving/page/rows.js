/** Photos of any shapes in rows that fill the width: numbers alone, no elements. */

const FLATTEST = 3;
const TALLEST = 0.5;

/** Returns width over height as it is shown: panoramas and ribbons are cut. */
export const shape = ({ width, height }) => Math.min(FLATTEST, Math.max(TALLEST, (width || 4) / (height || 3)));

const LARGEST = 1.2;

/**
 * Returns the places of photos, each `{x, y, width, height}`, and the height of all.
 *
 * The rows have about the same sum of shapes, so that all of them fill the width; the last is no exception.
 * @param {number[]} shapes Width over height of each photo.
 * @param {number} width Of the rows, pixels.
 * @param {number} wanted Height of a row, about.
 * @param {number} gap Between two photos.
 * @param {number} below Room below each photo.
 */
export function places(shapes, width, wanted, gap, below) {
  const held = [];
  let y = 0;
  for (const row of rowsOf(shapes, width / wanted)) {
    const full = (width - gap * (row.length - 1)) / total(row);
    // Photos that cannot fill a row stay at the left, no higher than others.
    const height = full > LARGEST * wanted ? wanted : full;
    let x = 0;
    for (const each of row) {
      held.push({ x, y, width: each * height, height });
      x += each * height + gap;
    }
    y += height + below + gap;
  }
  return { places: held, height: y };
}

const total = (shapes) => shapes.reduce((sum, each) => sum + each, 0);

/** Returns the shapes row by row; `full` is the sum of a row of the wanted height. */
function rowsOf(shapes, full) {
  const all = total(shapes);
  const goal = all / Math.max(1, Math.round(all / full));
  const rows = [[]];
  let sum = 0;
  for (const each of shapes) {
    // A row ends where the sum of all photos so far is nearest to a whole number of rows.
    if (sum + each / 2 > rows.length * goal && rows.at(-1).length) rows.push([]);
    rows.at(-1).push(each);
    sum += each;
  }
  return rows;
}

/** Returns the height of so many photos whose shapes are not known yet. */
export function guessed(number, width, wanted, gap, below, mean = 4 / 3) {
  const rows = Math.max(1, Math.round((number * mean * wanted) / width));
  const height = Math.min((width * rows) / (number * mean), LARGEST * wanted);
  return rows * (height + below + gap);
}
