/** Files in one archive, as they are: photos do not get smaller (PKWARE APPNOTE 6.3.10, sections 4.3.7 to 4.3.16). */

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let rest = byte;
  for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? (rest >>> 1) ^ 0xedb88320 : rest >>> 1;
  return rest;
});

function checksum(content) {
  let sum = ~0;
  for (const byte of content) sum = (sum >>> 8) ^ TABLE[(sum ^ byte) & 255];
  return ~sum >>> 0;
}

/** Numbers of so many bytes each, the least significant byte first. */
function packed(...numbers) {
  const held = [];
  for (const [number, size] of numbers) for (let byte = 0; byte < size; byte++) held.push((number / 256 ** byte) & 255);
  return Uint8Array.from(held);
}

const VERSION = [20, 2];
const NAMES_ARE_UTF8 = [0x800, 2];
const STORED = [0, 2];
const NEW_YEAR_1980 = [0x210000, 4];
const NONE = [0, 2];

/**
 * Returns the pieces of an archive.
 * @param {{name: string, content: Uint8Array}[]} files Of less than 4 GB together.
 */
export function zip(files) {
  const [pieces, entries] = [[], []];
  let offset = 0;
  for (const { name, content } of files) {
    const letters = new TextEncoder().encode(name);
    const facts = [VERSION, NAMES_ARE_UTF8, STORED, NEW_YEAR_1980, [checksum(content), 4], [content.length, 4], [content.length, 4], [letters.length, 2], NONE];
    const head = packed([0x04034b50, 4], ...facts);
    entries.push(packed([0x02014b50, 4], VERSION, ...facts, NONE, NONE, NONE, [0, 4], [offset, 4]), letters);
    pieces.push(head, letters, content);
    offset += head.length + letters.length + content.length;
  }
  const size = entries.reduce((sum, each) => sum + each.length, 0);
  const end = packed([0x06054b50, 4], NONE, NONE, [files.length, 2], [files.length, 2], [size, 4], [offset, 4], NONE);
  return [...pieces, ...entries, end];
}
