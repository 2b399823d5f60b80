// The status page: polls the node and its cameras, listens to events. Shows no picture, and everything as text.

import * as events from "./events.js";
import { duration, language, number, setLanguage, typeName, word } from "./words.js";

const POLL_MS = 1000;
const byId = (id) => document.getElementById(id);
const { cell } = events;
let node = null;
let cameras = [];
let link = "connecting";

function fact(title, value, state) {
  const box = cell("div", null, "fact");
  box.append(cell("dt", title), cell("dd", value, state));
  return box;
}

function drawNode() {
  if (!node) return;
  byId("node-id").textContent = node.id;
  byId("version").textContent = `Sharp Eyes ${node.version}`;
  const up = cameras.filter((camera) => camera.state === "up").length;
  const fps = cameras.reduce((sum, camera) => sum + camera.analysed_fps, 0);
  byId("node").replaceChildren(
    fact(word("camerasUp"), `${up} / ${cameras.length}`, up === cameras.length ? "good" : "bad"),
    fact(word("analysed"), `${number(fps)} ${word("perSecond")}`),
    fact(word("detector"), `${[node.detector, node.density].filter(Boolean).join(" + ")}, ${word("provider")} ${node.provider.replace("ExecutionProvider", "")}`),
    fact(word("redis"), `${node.redis} (${word(node.redis_up ? "up" : "down")})`, node.redis_up ? "good" : "bad"),
    fact(word("published"), `${number(node.events_published)}, ${number(node.outbox_pending)} ${word("waiting")}`),
    fact(word("uptime"), duration(node.uptime_s)),
    ...(node.profile === "usual" ? [] : [fact(word("thresholds"), word(node.profile), "bad")]),
  );
}

function zoneTable(camera) {
  const table = cell("table", null, "zones");
  const head = cell("tr");
  const titles = [word("zone"), word("people"), ...(camera.calibrated ? [word("mean"), word("worst")] : [])];
  head.append(...titles.map((title) => cell("th", title)));
  table.append(head);
  for (const zone of camera.zones) {
    const line = cell("tr");
    const density = [zone.density_mean_per_m2, zone.density_worst_cell_per_m2];
    const values = camera.calibrated ? density.map((d) => (d === null ? "–" : number(d, 2))) : [];
    const doubt = zone.count_stderr >= 0.5 ? ` ± ${number(zone.count_stderr, 0)}` : "";
    const people = `${number(zone.count)}${doubt}`;
    line.append(cell("td", zone.id), ...[people, ...values].map((value) => cell("td", value, "number")));
    table.append(line);
  }
  return table;
}

function incident(text) {
  const [kind, zone] = text.split("/");
  return cell("span", `${typeName(kind)} · ${zone}`, "chip");
}

function cameraCard(camera) {
  const card = cell("article", null, "card");
  card.dataset.state = camera.state;
  const head = cell("div", null, "head");
  head.append(cell("h3", camera.name || camera.id), cell("span", word(camera.state), "badge"));
  const rate = cell("p", null, "rate");
  rate.append(
    cell("strong", number(camera.analysed_fps)),
    ` ${word("analysed")} · ${number(camera.received_fps)} ${word("received")} `,
    cell("span", word("perSecond"), "quiet"),
  );
  const device = camera.decoder && camera.decoder !== "software" ? ` (${camera.decoder})` : "";
  const size = camera.width ? `${camera.width}×${camera.height} ${camera.codec || ""}${device}` : "";
  card.append(head, cell("p", [camera.name ? camera.id : "", size].filter(Boolean).join(" · "), "quiet"), rate);
  if (camera.error) card.append(cell("p", camera.error, "error"));
  if (camera.incidents.length) {
    const open = cell("p", null, "incidents");
    open.append(...camera.incidents.map(incident));
    card.append(open);
  }
  if (camera.zones.length) card.append(zoneTable(camera));
  if (!camera.calibrated) card.append(cell("p", word("uncalibrated"), "quiet"));
  for (const [rule, reason] of Object.entries(camera.unavailable)) {
    const [kind, zone] = rule.split("/");
    card.append(cell("p", `${typeName(kind)} · ${zone}: ${word("notJudged")} (${reason})`, "quiet"));
  }
  card.append(cell("p", footing(camera), "quiet foot"), cell("p", camera.source, "quiet source"));
  return card;
}

function footing(camera) {
  const age = camera.frame_age_s === null ? word("none") : `${number(camera.frame_age_s)} s ${word("ago")}`;
  const drops = ["gated", "superseded", "expired"]
    .filter((reason) => camera.frames[reason])
    .map((reason) => `${number(camera.frames[reason])} ${word(reason)}`);
  const parts = [`${word("age")} ${age}`];
  if (drops.length) parts.push(`${word("drops")}: ${drops.join(", ")}`);
  if (camera.reconnects) parts.push(`${number(camera.reconnects)} ${word("reconnects")}`);
  return parts.join(" · ");
}

function drawCameras() {
  byId("cameras").replaceChildren(...cameras.map(cameraCard));
}

function drawLink() {
  byId("link").dataset.state = link;
  byId("link-text").textContent = word(link);
}

function drawWords() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const element of document.querySelectorAll("[data-word]")) element.textContent = word(element.dataset.word);
  const button = byId("language");
  button.textContent = language === "zh" ? "English" : "中文";
  button.lang = language === "zh" ? "en" : "zh";
  button.setAttribute("aria-label", language === "zh" ? "Switch to English" : "切换到中文");
}

function draw() {
  drawWords();
  drawLink();
  drawNode();
  drawCameras();
  events.draw();
}

async function fetchJson(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(5000) });
  if (answer.status === 401) location.assign("/sign-in");
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

async function poll() {
  try {
    if (!document.hidden) {
      [node, cameras] = await Promise.all([fetchJson("/node"), fetchJson("/cameras")]);
      if (link === "lost") link = "live";
      drawNode();
      drawCameras();
    }
  } catch {
    link = "lost";
  }
  drawLink();
  setTimeout(poll, POLL_MS);
}

async function signOut() {
  const { csrf } = await fetchJson("/session");
  await fetch("/logout", { method: "POST", headers: { "X-CSRF-Token": csrf } });
  location.assign("/sign-in");
}

byId("sign-out").addEventListener("click", signOut);
fetchJson("/session").then(
  (me) => {
    byId("sign-out").hidden = me.csrf === null;
    byId("sign-out").title = me.name;
  },
  () => {},
);
byId("language").addEventListener("click", () => {
  setLanguage(language === "zh" ? "en" : "zh");
  draw();
});
draw();
events.listen((state) => {
  link = state;
  drawLink();
});
poll();
