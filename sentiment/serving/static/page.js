"use strict";
// The page: one review as it is typed, many reviews from a file or lines, what the classifier is.

const $ = (id) => document.getElementById(id);
const DEBOUNCE_MS = 250, BATCH = 64, MAX_SHOWN = 500, BINS = 20;
const state = { info: null, key: sessionStorage.getItem("key") ?? "", table: null, rows: [], sort: "id", up: true };

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function showError(message) {
  $("error").textContent = message;
  $("error").hidden = !message;
}

async function call(path, body, signal) {
  const headers = state.key ? { Authorization: `Bearer ${state.key}` } : {};
  const options = body === undefined ? { headers, signal } : {
    method: "POST", headers: { ...headers, "Content-Type": "application/json" }, body: JSON.stringify(body), signal };
  for (let attempt = 0; ; attempt++) {
    const answer = await fetch(path, options);
    if (answer.status === 429 && attempt < 30) {
      await new Promise((done) => setTimeout(done, 1000));
      continue;
    }
    if (answer.status === 401) $("key-form").hidden = false;
    const content = await answer.json();
    if (!answer.ok) throw new Error(content.error);
    return content;
  }
}

// One review

let timer = 0, typing = null;

async function explain() {
  const text = $("review").value.toWellFormed?.() ?? $("review").value;
  typing?.abort();
  showError("");
  if (!text.trim()) return showExplanation(null, "");
  typing = new AbortController();
  try {
    const [explanation] = await call("explain", { inputs: text }, typing.signal);
    showExplanation(explanation, text);
  } catch (error) {
    if (error.name !== "AbortError") showError(`No label: ${error.message}`);
  }
}

function showExplanation(explanation, text) {
  $("words").replaceChildren();
  $("label").textContent = explanation?.label ?? "–";
  $("probability").textContent = explanation ? `probability of positive ${explanation.probability.toFixed(3)}` : "";
  $("meter").value = explanation?.probability ?? 0;
  $("note").textContent = "";
  if (!explanation) return;
  const largest = Math.max(...explanation.words.map((word) => Math.abs(word.contribution)), 0.05);
  const characters = Array.from(text); // offsets count code points
  let end = 0;
  for (const word of explanation.words) {
    const share = word.contribution / largest;
    const shown = element("span", word.text, {
      class: Math.abs(share) < 0.05 ? "word" : share > 0 ? "word up" : "word down",
      title: `${word.contribution >= 0 ? "+" : "−"}${Math.abs(word.contribution).toFixed(3)}` });
    shown.style.setProperty("--strength", `${Math.round(8 + 42 * Math.abs(share))}%`);
    $("words").append(characters.slice(end, word.start).join(""), shown);
    end = word.end;
  }
  $("words").append(characters.slice(end).join(""));
  const exact = explanation.method === "exact sum"
    ? `The words add up to the log-odds ${explanation.logit.toFixed(2)}, with ` +
      `${(explanation.bias + explanation.special_tokens).toFixed(2)} that belongs to no word.`
    : "This head has several layers: the colors are gradient times input, not an exact sum.";
  $("note").textContent = exact + (explanation.is_truncated ? " The end of the text is not read." : "");
}

$("review").addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(explain, DEBOUNCE_MS);
});

// Many reviews

let running = null;

async function readFile(file) {
  const text = await file.text();
  showError("");
  if (file.name.toLowerCase().endsWith(".csv")) {
    const [header, ...rows] = parseCsv(text.replace(/^\uFEFF/, ""));
    state.table = { header: header ?? [], rows };
    const trained = state.info?.text_columns ?? [];
    const both = trained.length > 1 && trained.every((name) => state.table.header.includes(name));
    const choices = both ? [[trained.join(" + "), "*"]] : [];
    choices.push(...state.table.header.map((name, index) => [name, String(index)]));
    $("column").replaceChildren(...choices.map(([name, value]) => element("option", name, { value })));
    const guess = state.table.header.findIndex((name) => name === trained.at(-1) || /^(text|review|body)$/i.test(name));
    $("column").value = both ? "*" : String(Math.max(guess, 0));
    $("column").hidden = $("column-label").hidden = false;
    $("status").textContent = `${rows.length} rows in ${file.name}`;
  } else {
    useLines(text);
    $("status").textContent = `${lines(text).length} lines in ${file.name}`;
  }
}

function lines(text) {
  return text.split(/\r?\n/).filter((line) => line.trim());
}

function useLines(text) {
  $("lines").value = text;
  state.table = null;
  $("column").hidden = $("column-label").hidden = true;
}

function inputs() {
  if (!state.table) return lines($("lines").value).map((line) => [line]);
  const { header, rows } = state.table, chosen = $("column").value;
  const indices = chosen === "*" ? state.info.text_columns.map((name) => header.indexOf(name)) : [Number(chosen)];
  return rows.map((row) => indices.map((index) => row[index] ?? ""));
}

async function labelAll() {
  const all = inputs();
  state.rows = [];
  showError("");
  if (!all.length) return showError("There is no review to label: choose a file, or paste lines.");
  running = new AbortController();
  $("start").disabled = true;
  $("stop").hidden = $("progress").hidden = $("many").hidden = false;
  try {
    for (let start = 0; start < all.length; start += BATCH) {
      await labelBatch(all.slice(start, start + BATCH), start);
      $("progress").value = state.rows.length / all.length;
      $("status").textContent = `${state.rows.length} of ${all.length} labeled`;
      showRows();
    }
  } catch (error) {
    if (error.name !== "AbortError") showError(`Stopped: ${error.message}`);
  } finally {
    $("start").disabled = false;
    $("stop").hidden = true;
  }
}

async function labelBatch(batch, start) {
  const parts = batch.map((fields) => fields.map((field) => (field.toWellFormed?.() ?? field).replaceAll("\0", " ").trim()));
  // a title without a body is no review
  const texts = parts.map((fields) => (fields.at(-1) ? fields.filter(Boolean) : []));
  const filled = texts.filter((fields) => fields.length);
  const answers = filled.length ? await call("predict", { inputs: filled }, running.signal) : [];
  for (const [index, fields] of texts.entries()) {
    const scores = fields.length ? answers.shift() : [];
    const positive = scores.find((score) => score.label === "positive")?.score ?? null;
    state.rows.push({ id: start + index + 1, label: scores[0]?.label ?? "", probability: positive, text: parts[index].filter(Boolean).join(". ") });
  }
}

function visibleRows() {
  const label = $("filter").value, words = $("find").value.toLowerCase(), { sort, up } = state;
  const order = (a, b) => (a === b ? 0 : a === null ? 1 : b === null ? -1 : (a < b ? -1 : 1) * (up ? 1 : -1));
  return state.rows
    .filter((row) => (!label || row.label === label) && row.text.toLowerCase().includes(words))
    .sort((a, b) => order(a[sort], b[sort]) || a.id - b.id);
}

function showRows() {
  const rows = visibleRows();
  $("rows").replaceChildren(...rows.slice(0, MAX_SHOWN).map((row) => {
    const line = document.createElement("tr");
    const shown = row.probability === null ? "" : row.probability.toFixed(3);
    line.append(element("td", row.id), element("td", row.label), element("td", shown), element("td", row.text));
    return line;
  }));
  const more = rows.length > MAX_SHOWN ? `, the first ${MAX_SHOWN} of them here` : "";
  $("shown").textContent = `${rows.length} of ${state.rows.length} rows${more}`;
  drawHistogram(rows);
}

function drawHistogram(rows) {
  const counts = new Array(BINS).fill(0);
  for (const row of rows) if (row.probability !== null) counts[Math.min(BINS - 1, Math.floor(row.probability * BINS))]++;
  const highest = Math.max(...counts, 1), svg = (name, attributes, text = "") => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.textContent = text;
    return made;
  };
  const bars = counts.map((count, bin) => svg("rect", {
    class: "bar", x: bin * 20 + 1, width: 18, y: 110 - (100 * count) / highest, height: (100 * count) / highest }));
  const ticks = [0, 0.5, 1].map((value) => svg("text", {
    x: value * 400, y: 125, "text-anchor": value === 0 ? "start" : value === 1 ? "end" : "middle" }, value));
  $("histogram").replaceChildren(...bars, svg("line", { x1: 0, x2: 400, y1: 110, y2: 110 }), ...ticks);
}

function download() {
  const rows = visibleRows().map((row) => [row.id, row.probability ?? "", row.label, row.text]);
  const content = formatCsv([["id", "probability", "sentiment", "text"], ...rows]);
  const link = element("a", "", { download: "labels.csv", href: URL.createObjectURL(new Blob([content], { type: "text/csv" })) });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function sortBy(key) {
  state.up = state.sort === key ? !state.up : true;
  state.sort = key;
  for (const button of document.querySelectorAll("th button")) {
    const sorted = button.dataset.key === key ? (state.up ? "ascending" : "descending") : "none";
    button.parentElement.setAttribute("aria-sort", sorted);
  }
  showRows();
}

$("file").addEventListener("change", () => $("file").files[0] && readFile($("file").files[0]));
$("lines").addEventListener("input", () => useLines($("lines").value));
$("start").addEventListener("click", labelAll);
$("stop").addEventListener("click", () => running?.abort());
$("filter").addEventListener("change", showRows);
$("find").addEventListener("input", showRows);
$("download").addEventListener("click", download);
for (const button of document.querySelectorAll("th button")) button.addEventListener("click", () => sortBy(button.dataset.key));
for (const name of ["dragenter", "dragover"]) {
  $("drop").addEventListener(name, (event) => { event.preventDefault(); $("drop").classList.add("over"); });
}
$("drop").addEventListener("dragleave", () => $("drop").classList.remove("over"));
$("drop").addEventListener("drop", (event) => {
  event.preventDefault();
  $("drop").classList.remove("over");
  if (event.dataTransfer.files[0]) readFile(event.dataTransfer.files[0]);
});

// The classifier

async function describe() {
  try {
    const info = (state.info = await call("info"));
    const { about } = info, percent = (value) => `${(100 * value).toFixed(1)}%`;
    const accuracy = typeof about.accuracy === "number"
      ? `${percent(about.accuracy)} (95% interval ${percent(about.accuracy_low)} to ${percent(about.accuracy_high)}, ${about.rows} test reviews)`
      : "not available";
    const facts = { Accuracy: accuracy, Data: about.source ?? "not available", Commit: about.commit ?? "not available",
      Revision: about.revision, Encoder: info.model_id, "Positive from": info.threshold, Reads: `${info.max_input_length} tokens of a review` };
    $("about").replaceChildren(...Object.entries(facts).flatMap(([name, value]) => [element("dt", name), element("dd", value)]));
    $("summary").textContent = `Accuracy ${accuracy}`;
    $("key-form").hidden = true;
    showError("");
  } catch (error) {
    showError(error.message);
  }
}

$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  state.key = $("key").value;
  sessionStorage.setItem("key", state.key);
  describe();
});
describe();
