// Many reviews: a file, which the server reads, or lines in; labels out, in batches.
import { $, call, clean, count, element, showError } from "./page.js";
import { rows, showRows } from "./table.js";

const BATCH = 64, MAX_MIB = 8; // of one request, by the server's default limit
let texts = null; // of a file; null for lines
let running = null, reading = 0;

async function readFile(file) {
  const turn = ++reading; // a later choice, or lines, count instead
  $("lines").value = "";
  $("problems").replaceChildren();
  texts = [];
  showError("");
  $("status").textContent = `Reading ${file.name} …`;
  try {
    if (file.size > MAX_MIB * 2 ** 20) throw new Error(`it is larger than ${MAX_MIB} MiB; use the command sentiment predict`);
    const read = await call(`rows?name=${encodeURIComponent(file.name)}`, file);
    if (turn !== reading) return;
    texts = read.texts;
    $("status").textContent = `${count(texts.length, "row")} in ${file.name}`;
    $("problems").replaceChildren(...read.problems.map((problem) => element("li", problem)));
  } catch (error) {
    if (turn !== reading) return;
    $("status").textContent = "";
    showError(`${file.name} was not read: ${error.message}.`, $("start").parentElement);
  }
}

function lines() {
  return $("lines").value.split(/\r?\n/).filter((line) => line.trim());
}

async function labelAll() {
  const all = texts ?? lines(), total = all.length.toLocaleString("en");
  showError("");
  if (!all.length) return showError("There is no review to label: choose a file, or paste lines.", $("start").parentElement);
  rows.length = 0;
  running = new AbortController();
  $("progress").value = 0;
  $("start").disabled = true;
  $("stop").hidden = $("progress").hidden = false;
  try {
    for (let start = 0; start < all.length; start += BATCH) {
      await labelBatch(all.slice(start, start + BATCH).map((text) => clean(text).trim()));
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

async function labelBatch(batch) {
  const filled = batch.filter(Boolean).map((text) => [text]);
  const busy = () => { $("status").textContent = "The server is busy; waiting …"; };
  const answers = filled.length ? await call("predict", { inputs: filled }, { signal: running.signal, busy }) : [];
  for (const text of batch) {
    const scores = text ? answers.shift() : [];
    const positive = scores.find((score) => score.label === "positive")?.score ?? null;
    rows.push({ id: rows.length + 1, label: scores[0]?.label ?? null, probability: positive, text });
  }
}

$("file").addEventListener("change", () => $("file").files[0] && readFile($("file").files[0]));
$("lines").addEventListener("input", () => {
  $("file").value = $("status").textContent = "";
  $("problems").replaceChildren();
  texts = null;
  reading++;
});
$("start").addEventListener("click", labelAll);
$("stop").addEventListener("click", () => running.abort());
