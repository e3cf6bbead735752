// What all parts of the page use: elements, errors, calls of the server. And what the classifier is, and the key.

const MAX_ATTEMPTS = 30, RETRY_MS = 1000; // the server's Retry-After is one second

export const $ = (id) => document.getElementById(id);
export let info = null; // of GET /info
let key = sessionStorage.getItem("key") ?? "";

export function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  return made;
}

// below the element that it is about, where it is in sight
export function showError(message, about = $("key-form")) {
  if (message) about.after($("error"));
  $("error").textContent = message;
  $("error").hidden = !message;
}

export const count = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;

// JSON cannot carry half of a surrogate pair, and the server refuses NUL
export const clean = (text) => (text.toWellFormed?.() ?? text).replaceAll("\0", " ");

export async function call(path, body, { signal, busy = () => {} } = {}) {
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  const options = { headers, signal };
  if (body !== undefined) {
    const isFile = body instanceof File;
    headers["Content-Type"] = isFile ? "application/octet-stream" : "application/json";
    Object.assign(options, { method: "POST", body: isFile ? body : JSON.stringify(body) });
  }
  for (let attempt = 1; ; attempt++) {
    const answer = await fetch(path, options).catch((error) => {
      throw error.name === "AbortError" ? error : new Error("the server does not answer; check whether it still runs");
    });
    if (answer.status === 429 && attempt < MAX_ATTEMPTS) {
      busy();
      await new Promise((done) => setTimeout(done, RETRY_MS));
      continue;
    }
    if (answer.ok) return answer.json();
    if (answer.status === 401) {
      $("key-form").hidden = false;
      throw new Error(key ? "the server does not accept this key" : "the server asks for its key");
    }
    const content = await answer.json().catch(() => null); // a proxy's error is not JSON
    throw new Error(content?.error ?? `the server answered with status ${answer.status}`);
  }
}

const percent = (value) => `${(100 * value).toFixed(1)}%`;

async function describe() {
  try {
    info = await call("info");
    const { about } = info;
    const known = typeof about.accuracy === "number";
    const share = known && `${percent(about.accuracy)} of ${count(about.rows, "test review")}`;
    const interval = known && `(95% interval ${percent(about.accuracy_low)} to ${percent(about.accuracy_high)})`;
    const facts = { Accuracy: known ? `${share} ${interval}` : "not available", Data: about.source ?? "not available", Revision: about.revision,
      Commit: about.commit ?? "not available", Encoder: info.model_id,
      Threshold: `positive from a probability of ${info.threshold} on${info.unsure ? `; unsure from ${info.unsure[0]} to below ${info.unsure[1]}` : ""}`, Reads: `the first ${info.max_input_length} tokens of a review` };
    $("about").replaceChildren(...Object.entries(facts).flatMap(([name, value]) => [element("dt", name), element("dd", value)]));
    $("summary").textContent = known ? `${share} labeled correctly ${interval}` : "Its accuracy is not available.";
    document.documentElement.style.setProperty("--at", info.threshold);
    $("key-form").hidden = true;
    showError("");
  } catch (error) {
    $("summary").textContent = "Which classifier this is, is not available.";
    const first = !$("key-form").hidden && !key; // nothing went wrong yet: the form says what to do
    showError(first ? "" : `${error.message[0].toUpperCase()}${error.message.slice(1)}.`);
    if (!$("key-form").hidden) $("key").focus();
  }
}

$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  key = $("key").value;
  sessionStorage.setItem("key", key);
  describe();
});
describe();
