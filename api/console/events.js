// The newest events, as they come: server-sent events, resumed by sequence number after a break.

import { measure, typeName, word } from "./words.js";

const KEEP = 100;
const seen = []; // newest first: CloudEvents, or { missed: n }

export function kindOf(event) {
  return String(event.type).replace(/^org\.sharpeyes\./, "").replace(/\.v1$/, "");
}

export function cell(tag, text, className) {
  const node = document.createElement(tag);
  if (text !== undefined && text !== null) node.textContent = text; // never innerHTML: texts come from outside
  if (className) node.className = className;
  return node;
}

function levelCell(level) {
  const box = cell("td");
  box.append(level ? cell("span", word(`L${level}`), `level l${level}`) : cell("span", "·", "level l0"));
  return box;
}

function row(event) {
  const line = document.createElement("tr");
  if (event.missed) {
    const note = cell("td", word("missed").replace("{n}", event.missed), "missed");
    note.colSpan = 7;
    line.append(note);
    return line;
  }
  const data = event.data || {};
  const [, node, camera] = /^\/nodes\/([^/]+)(?:\/cameras\/([^/]+))?$/.exec(event.source) || [];
  const time = new Date(event.time);
  const measures = Object.entries(data.measures || {})
    .filter(([name, value]) => !name.includes("stderr") && !(value === 0 && /^(duration|crossings)_/.test(name)))
    .map(([name, value]) => measure(name, value));
  const when = cell("td", Number.isNaN(+time) ? event.time : time.toLocaleTimeString([], { hour12: false }), "time");
  when.title = String(event.time);
  const what = cell("td", typeName(kindOf(event)), "what");
  what.title = kindOf(event);
  line.append(
    levelCell(data.level),
    when,
    what,
    cell("td", data.phase ? word(data.phase) : "", "phase"),
    cell("td", camera || node || "", "camera"),
    cell("td", data.zone && data.zone !== camera ? data.zone : "", "zone"),
    cell("td", measures.join(" · "), "measures"),
  );
  if (data.phase) line.dataset.phase = data.phase;
  return line;
}

export function draw() {
  document.getElementById("events").replaceChildren(...seen.map(row));
  document.getElementById("no-events").hidden = seen.length > 0;
}

function sameMoment(event, other) {
  return event.data?.phase === "end" && other?.data?.incident === event.data.incident && other.time === event.time;
}

function show(event) {
  if (sameMoment(event, seen[0])) return; // what happens in a moment, such as a crossing, is one row
  seen.unshift(event);
  seen.length = Math.min(seen.length, KEEP);
  const body = document.getElementById("events");
  body.prepend(row(event));
  while (body.rows.length > KEEP) body.deleteRow(-1);
  document.getElementById("no-events").hidden = true;
}

export function listen(onState) {
  const source = new EventSource("/events?after=0");
  source.onopen = () => onState("live");
  // The browser asks again by itself and names the last id it saw; a refused stream must be reopened.
  source.onerror = () => {
    onState("lost");
    if (source.readyState === EventSource.CLOSED) setTimeout(() => listen(onState), 3000);
  };
  source.onmessage = (message) => show(JSON.parse(message.data));
  source.addEventListener("missed", (message) => {
    const { after, before } = JSON.parse(message.data);
    const count = Number(before) - Number(after) - 1;
    if (seen.length && count > 0) show({ missed: count });
  });
}
