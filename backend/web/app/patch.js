/**
 * A unified diff, read into files, hunks and lines. Linear, and it takes any text. Pure.
 */

/** @typedef {{kind: "same" | "added" | "removed" | "note", text: string, old: number, new: number}} Row */
/** @typedef {{header: string, rows: Row[]}} Hunk */
/** `mode`: the file's, where it is another than before or unusual; else empty. */
/** @typedef {{path: string, was: string, change: "changed" | "new" | "deleted" | "renamed", mode: string, binary: boolean, test: boolean, added: number, removed: number, hunks: Hunk[]}} FilePatch */

const HUNK = /^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@(.*)$/;
const PLAIN = "100644";
const TEST = /(^|\/)(tests?|__tests__|spec)\/|(^|\/)test_[^/]*$|_test\.[^/]+$|\.(test|spec)\.[^/]+$|(^|\/)conftest\.py$/;

/** @param {string} text @returns {FilePatch[]} */
export function readPatch(text) {
  const files = /** @type {FilePatch[]} */ ([]);
  const at = { old: 0, new: 0, oldLeft: 0, newLeft: 0 };
  for (const line of text.split("\n")) {
    const file = files.at(-1);
    const hunk = file?.hunks.at(-1);
    if (file && hunk && (at.oldLeft > 0 || at.newLeft > 0)) takeRow(file, hunk, at, line);
    else if (line.startsWith("\\") && hunk) hunk.rows.push({ kind: "note", text: line.slice(2), old: 0, new: 0 });
    else if (line.startsWith("diff --git ")) files.push(newFile(line));
    else takeHeader(files, at, line);
  }
  return files.map((file) => ({ ...file, test: TEST.test(file.path) }));
}

/** Lines added and removed. @param {FilePatch[]} files */
export function sums(files) {
  return files.reduce(
    (sum, file) => ({ added: sum.added + file.added, removed: sum.removed + file.removed }),
    { added: 0, removed: 0 },
  );
}

/** @param {string} line @returns {FilePatch} */
function newFile(line) {
  const halves = /^diff --git "?a\/(.*?)"? "?b\/(.*?)"?$/s.exec(line);
  const path = halves ? halves[2] : line.slice("diff --git ".length);
  return { path, was: path, change: "changed", mode: "", binary: false, test: false, added: 0, removed: 0, hunks: [] };
}

/** @param {FilePatch[]} files @param {{old: number, new: number, oldLeft: number, newLeft: number}} at @param {string} line */
function takeHeader(files, at, line) {
  const hunk = HUNK.exec(line);
  let file = files[files.length - 1];
  if (line.startsWith("--- ") && (!file || file.hunks.length)) files.push((file = newFile(line.slice(4))));
  if (!file) return;
  if (hunk) {
    Object.assign(at, { old: +hunk[1], new: +hunk[3], oldLeft: +(hunk[2] ?? 1), newLeft: +(hunk[4] ?? 1) });
    file.hunks.push({ header: hunk[5].trim(), rows: [] });
  } else if (line.startsWith("--- ")) file.was = pathOf(line, file.was);
  else if (line.startsWith("+++ ")) file.path = pathOf(line, file.path);
  else if (line.startsWith("new file")) Object.assign(file, { change: "new", mode: line.slice(14).replace(PLAIN, "") });
  else if (line.startsWith("old mode ")) file.mode = line.slice(9);
  else if (line.startsWith("new mode ")) file.mode += ` → ${line.slice(9)}`;
  else if (line.startsWith("deleted file")) file.change = "deleted";
  else if (line.startsWith("rename from ")) Object.assign(file, { change: "renamed", was: line.slice(12) });
  else if (/^(Binary files |GIT binary patch)/.test(line)) file.binary = true;
}

/** @param {string} line @param {string} known */
function pathOf(line, known) {
  const path = line.slice(4).replace(/\t.*$/s, "").replace(/^"(.*)"$/s, "$1");
  return path === "/dev/null" ? known : path.replace(/^[ab]\//, "");
}

/** @param {FilePatch} file @param {Hunk} hunk @param {{old: number, new: number, oldLeft: number, newLeft: number}} at @param {string} line */
function takeRow(file, hunk, at, line) {
  const text = line.slice(1);
  if (line.startsWith("+")) {
    hunk.rows.push({ kind: "added", text, old: 0, new: at.new++ });
    at.newLeft -= 1;
    file.added += 1;
  } else if (line.startsWith("-")) {
    hunk.rows.push({ kind: "removed", text, old: at.old++, new: 0 });
    at.oldLeft -= 1;
    file.removed += 1;
  } else if (line.startsWith("\\")) {
    hunk.rows.push({ kind: "note", text: line.slice(2), old: 0, new: 0 });
  } else {
    hunk.rows.push({ kind: "same", text, old: at.old++, new: at.new++ });
    at.oldLeft -= 1;
    at.newLeft -= 1;
  }
}
