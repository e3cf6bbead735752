// Labeled reviews: a histogram of their probabilities, a table that sorts and filters, the table as a file.
import { $, count, element, info } from "./page.js";

const MAX_SHOWN = 500, BINS = 20;
export const rows = []; // {id, label, probability, text}
let sort = "id", direction = 1;

function visibleRows() {
  const label = $("filter").value, words = $("find").value.toLowerCase();
  // rows without a label come last, whatever the direction
  const compare = (a, b) => (a === b ? 0 : a === null ? 1 : b === null ? -1 : (a < b ? -1 : 1) * direction);
  return rows
    .filter((row) => (!label || row.label === label) && row.text.toLowerCase().includes(words))
    .sort((a, b) => compare(a[sort], b[sort]) || a.id - b.id);
}

export function showRows() {
  const visible = visibleRows();
  $("rows").replaceChildren(...visible.slice(0, MAX_SHOWN).map((row) => {
    const line = document.createElement("tr"), label = element("td", "");
    if (row.label) label.append(element("span", row.label, row.label === "unsure" ? {} : { class: `word ${row.label === "positive" ? "up" : "down"} level2` }));
    else label.append(element("span", "no text", { class: "note" }));
    line.append(element("td", row.id), label, element("td", row.probability?.toFixed(3) ?? ""), element("td", row.text));
    return line;
  }));
  const more = visible.length > MAX_SHOWN ? `; the first ${MAX_SHOWN} are shown, the download has all of them` : "";
  $("shown").textContent = `${visible.length.toLocaleString("en")} of ${count(rows.length, "row")}${more}`;
  $("download").textContent = `Download ${count(visible.length, "row")} as CSV`;
  $("download").disabled = !visible.length;
  drawHistogram(visible);
}

function drawHistogram(visible) {
  const labeled = visible.filter((row) => row.probability !== null);
  const counts = new Array(BINS).fill(0);
  for (const row of labeled) counts[Math.min(BINS - 1, Math.floor(row.probability * BINS))]++;
  const highest = Math.max(...counts, 1);
  $("histogram").replaceChildren(...counts.map((n, bin) => {
    const bar = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    const kind = (bin + 0.5) / BINS >= (info?.threshold ?? 0.5) ? "positive" : "negative";
    const attributes = { class: `bar ${kind}`, x: bin + 0.05, width: 0.9, y: 1 - n / highest, height: n / highest };
    for (const [name, value] of Object.entries(attributes)) bar.setAttribute(name, value);
    const title = document.createElementNS("http://www.w3.org/2000/svg", "title");
    title.textContent = `${(bin / BINS).toFixed(2)} to ${((bin + 1) / BINS).toFixed(2)}: ${count(n, "review")}`;
    bar.append(title);
    return bar;
  }));
  const [positive, unsure] = ["positive", "unsure"].map((label) => labeled.filter((row) => row.label === label).length);
  const without = visible.length - labeled.length;
  $("histogram-title").textContent = !labeled.length ? "No labeled review" : `${positive.toLocaleString("en")} positive, ${(labeled.length - positive - unsure).toLocaleString("en")} negative` +
    `${unsure ? `, ${unsure.toLocaleString("en")} unsure` : ""}` +
    `${without ? `, ${without.toLocaleString("en")} without text` : ""}; highest bar: ${count(highest, "review")}`;
}

function quoted(value) {
  // a leading =, +, - or @ would be a formula in a spreadsheet
  const safe = /^[=+\-@\t\r]/.test(value) && Number.isNaN(Number(value)) ? `'${value}` : String(value);
  return `"${safe.replaceAll('"', '""')}"`;
}

function download() {
  const fields = visibleRows().map((row) => [row.id, row.probability ?? "", row.label ?? "", quoted(row.text)]);
  const content = [["id", "probability", "sentiment", "text"], ...fields].map((one) => `${one.join(",")}\n`).join("");
  const link = element("a", "", { download: "labels.csv", href: URL.createObjectURL(new Blob([content], { type: "text/csv" })) });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function sortBy(key) {
  direction = sort === key ? -direction : 1;
  sort = key;
  for (const button of document.querySelectorAll("th button")) {
    const isSorted = button.dataset.key === key;
    button.parentElement.setAttribute("aria-sort", !isSorted ? "none" : direction > 0 ? "ascending" : "descending");
  }
  showRows();
}

$("filter").addEventListener("change", showRows);
$("find").addEventListener("input", showRows);
$("download").addEventListener("click", download);
for (const button of document.querySelectorAll("th button")) button.addEventListener("click", () => sortBy(button.dataset.key));
