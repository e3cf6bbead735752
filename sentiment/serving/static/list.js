// Many reviews: a file or lines in, labels out, in batches.
import { parseCsv } from "./csv.js";
import { $, call, clean, count, element, info, showError } from "./page.js";
import { rows, showRows } from "./table.js";

const BATCH = 64;
let table = null; // header and rows of a CSV file; null for lines
let running = null;

async function readFile(file) {
  const text = await file.text();
  showError("");
  if (!file.name.toLowerCase().endsWith(".csv")) {
    useLines(text);
    $("status").textContent = `${count(lines(text).length, "line")} in ${file.name}`;
    return;
  }
  const [header = [], ...records] = parseCsv(text.replace(/^\uFEFF/, ""));
  const trained = info?.text_columns ?? [];
  const both = trained.length > 1 && trained.every((name) => header.includes(name));
  const choices = header.map((name, index) => [name, String(index)]);
  if (both) choices.unshift([trained.join(" + "), "*"]);
  const guess = header.findIndex((name) => name === trained.at(-1) || /^(text|review|body)$/i.test(name));
  table = { header, records };
  $("lines").value = "";
  $("column").replaceChildren(...choices.map(([name, value]) => element("option", name, { value })));
  $("column").value = both ? "*" : String(Math.max(guess, 0));
  $("column-row").hidden = false;
  $("status").textContent = `${count(records.length, "row")} in ${file.name}`;
}

function lines(text) {
  return text.split(/\r?\n/).filter((line) => line.trim());
}

function useLines(text) {
  $("lines").value = text;
  $("column-row").hidden = true;
  table = null;
}

function inputs() {
  if (!table) return lines($("lines").value).map((line) => [line]);
  const chosen = $("column").value;
  const indices = chosen === "*" ? info.text_columns.map((name) => table.header.indexOf(name)) : [Number(chosen)];
  return table.records.map((record) => indices.map((index) => record[index] ?? ""));
}

async function labelAll() {
  const all = inputs(), total = all.length.toLocaleString("en");
  showError("");
  if (!all.length) return showError("There is no review to label: choose a file, or paste lines.", $("start").parentElement);
  rows.length = 0;
  running = new AbortController();
  $("progress").value = 0;
  $("start").disabled = true;
  $("stop").hidden = $("progress").hidden = false;
  try {
    for (let start = 0; start < all.length; start += BATCH) {
      await labelBatch(all.slice(start, start + BATCH), start);
      $("progress").value = rows.length / all.length;
      $("status").textContent = `${rows.length.toLocaleString("en")} of ${total} labeled`;
      $("many").hidden = false;
      showRows();
    }
  } catch (error) {
    $("status").textContent = `Stopped: ${rows.length.toLocaleString("en")} of ${total} labeled`;
    const last = Math.min(rows.length + BATCH, all.length);
    if (error.name !== "AbortError") showError(`Rows ${rows.length + 1} to ${last} got no label: ${error.message}.`, $("start").parentElement);
  } finally {
    $("start").disabled = false;
    if (document.activeElement === $("stop")) $("start").focus(); // a hidden button keeps no focus
    $("stop").hidden = $("progress").hidden = true;
  }
}

async function labelBatch(batch, start) {
  const parts = batch.map((fields) => fields.map((field) => clean(field).trim()));
  // a title without a body is no review
  const texts = parts.map((fields) => (fields.at(-1) ? fields.filter(Boolean) : []));
  const filled = texts.filter((fields) => fields.length);
  const busy = () => { $("status").textContent = "The server is busy; waiting …"; };
  const answers = filled.length ? await call("predict", { inputs: filled }, { signal: running.signal, busy }) : [];
  for (const [index, fields] of texts.entries()) {
    const scores = fields.length ? answers.shift() : [];
    const positive = scores.find((score) => score.label === "positive")?.score ?? null;
    rows.push({ id: start + index + 1, label: scores[0]?.label ?? "", probability: positive, text: parts[index].filter(Boolean).join(". ") });
  }
}

$("file").addEventListener("change", () => $("file").files[0] && readFile($("file").files[0]));
$("lines").addEventListener("input", () => {
  $("file").value = "";
  $("status").textContent = "";
  useLines($("lines").value);
});
$("start").addEventListener("click", labelAll);
$("stop").addEventListener("click", () => running.abort());
// anywhere: a file that misses a target would be opened in the place of the page
const holdsFiles = (event) => event.dataTransfer.types.includes("Files");
document.addEventListener("dragover", (event) => {
  if (!holdsFiles(event)) return;
  event.preventDefault();
  document.body.classList.add("over");
});
document.addEventListener("dragleave", (event) => event.relatedTarget || document.body.classList.remove("over"));
document.addEventListener("drop", (event) => {
  if (!holdsFiles(event)) return;
  event.preventDefault();
  document.body.classList.remove("over");
  $("file").value = ""; // it would name another file
  readFile(event.dataTransfer.files[0]);
});
