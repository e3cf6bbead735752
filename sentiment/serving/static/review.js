// One review: its label, and its words colored by what they contribute, as it is typed.
import { $, call, clean, element, showError } from "./page.js";

const DEBOUNCE_MS = 250;
const LEVELS = [0.15, 0.4, 0.7]; // shares of the largest contribution, as in the report
const MAX_NAMED = 3;
let timer = 0, request = null;

async function explain() {
  const text = clean($("review").value);
  request?.abort();
  showError("");
  if (!text.trim()) return showNothing("The label appears here as you type.");
  const { signal } = (request = new AbortController());
  $("result").classList.add("waiting");
  if ($("explanation").hidden) $("probability").textContent = "Asking the server …";
  try {
    const [explanation] = await call("explain", { inputs: text }, { signal, busy: () => showNothing("The server is busy; waiting …") });
    showExplanation(explanation, text);
  } catch (error) {
    if (error.name === "AbortError") return;
    showNothing("No label.");
    showError(`No label: ${error.message.replace(/^text 0/, "the text")}.`, $("review"));
  }
}

function showNothing(message) {
  $("result").classList.remove("waiting");
  $("explanation").hidden = true;
  $("verdict").className = "empty";
  $("label").textContent = "";
  $("label").className = "";
  $("probability").textContent = message;
  $("words").replaceChildren();
}

function showExplanation(explanation, text) {
  const { label, probability } = explanation;
  $("result").classList.remove("waiting");
  $("explanation").hidden = false;
  $("verdict").className = "";
  $("label").textContent = label;
  $("label").className = label === "unsure" ? "" : `${label === "positive" ? "up" : "down"} level2`;
  $("probability").textContent = `probability of positive ${probability.toFixed(3)}`;
  $("meter").setAttribute("aria-valuenow", probability.toFixed(3));
  $("meter").style.setProperty("--value", probability);
  $("meter").className = label;
  showWords(explanation.words, text);
  showStrongest(explanation.words);
  $("note").textContent = reasons(explanation);
}

function showWords(words, text) {
  const largest = Math.max(...words.map((word) => Math.abs(word.contribution)), Number.MIN_VALUE);
  const characters = Array.from(text); // offsets count code points
  const pieces = [];
  let end = 0;
  for (const word of words) {
    const level = LEVELS.filter((share) => Math.abs(word.contribution) >= share * largest).length;
    const kind = level ? `word ${word.contribution > 0 ? "up" : "down"} level${level}` : "word";
    pieces.push(characters.slice(end, word.start).join(""), element("span", word.text, { class: kind, title: signed(word.contribution) }));
    end = word.end;
  }
  $("words").replaceChildren(...pieces, characters.slice(end).join(""));
}

function showStrongest(words) {
  const named = (sign, meaning) => {
    const strongest = words.filter((word) => sign * word.contribution >= 0.005) // 0.00 would say nothing
      .sort((a, b) => sign * (b.contribution - a.contribution)).slice(0, MAX_NAMED);
    const bare = (word) => word.text.replace(/^[^\p{L}\p{N}]+|[^\p{L}\p{N}]+$/gu, "") || word.text;
    return strongest.length ? `Most for ${meaning}: ${strongest.map((word) => `${bare(word)} ${signed(word.contribution)}`).join(", ")}.` : "";
  };
  $("strongest").replaceChildren(element("span", named(1, "positive")), element("span", named(-1, "negative")));
}

function reasons({ method, words, logit, bias, special_tokens, is_truncated }) {
  const sum = words.reduce((total, word) => total + word.contribution, 0);
  const exact = method === "exact sum"
    ? `The words add up to ${signed(sum)}; with ${signed(bias + special_tokens)} that belongs to no word, this is the log-odds ${signed(logit)}.`
    : "The head has several layers: colors are gradient times input, not an exact sum.";
  return exact + (is_truncated ? " The text is longer than the encoder reads." : "");
}

function signed(value) {
  return `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)}`;
}

$("review").addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(explain, DEBOUNCE_MS);
});
