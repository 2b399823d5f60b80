// Live view: WHEP, and moving JPEG where that does not get through. A reason is asked for first.

import { language, word } from "./words.js";

const SHOWN_WITHIN_MS = 8000;
const at = (id) => document.getElementById(id);
const tell = (text) => { at("trouble").textContent = text; };
let connection = null;
let session = null;
let token = "";

document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
for (const element of document.querySelectorAll("[data-word]")) element.textContent = word(element.dataset.word);

async function refusal(answer) {
  if (answer.status === 401) return new Error(word("signInFirst"));
  try {
    return new Error((await answer.json()).detail);
  } catch {
    return new Error(answer.statusText);
  }
}

async function start() {
  const me = await fetch("/session");
  if (me.ok) token = (await me.json()).csrf || "";
  const answer = await fetch("/cameras");
  if (!answer.ok) throw await refusal(answer);
  for (const camera of await answer.json()) {
    at("camera").append(new Option(camera.name ? `${camera.name} (${camera.id})` : camera.id, camera.id));
  }
  const wanted = new URLSearchParams(location.search).get("camera");
  if (wanted) at("camera").value = wanted;
}

async function gathered(pc) {
  if (pc.iceGatheringState === "complete") { return; }
  await new Promise((done) => {
    const late = setTimeout(done, 1000);
    pc.addEventListener("icegatheringstatechange", () => {
      if (pc.iceGatheringState === "complete") { clearTimeout(late); done(); }
    });
  });
}

function playing(video) {
  return new Promise((done, give) => {
    const late = setTimeout(() => give(new Error(word("noWebrtc"))), SHOWN_WITHIN_MS);
    video.addEventListener("playing", () => { clearTimeout(late); done(); }, { once: true });
  });
}

async function whep(camera, why) {
  connection = new RTCPeerConnection();
  connection.addTransceiver("video", { direction: "recvonly" });
  const video = at("video");
  connection.addEventListener("track", (event) => { video.srcObject = new MediaStream([event.track]); });
  await connection.setLocalDescription(await connection.createOffer());
  await gathered(connection);
  const headers = { "Content-Type": "application/sdp", "X-Audit-Reason": encodeURIComponent(why) };
  if (token) headers["X-CSRF-Token"] = token;
  const path = `/cameras/${encodeURIComponent(camera)}/whep`;
  const answer = await fetch(path, { method: "POST", headers, body: connection.localDescription.sdp });
  if (!answer.ok) throw await refusal(answer);
  session = answer.headers.get("Location");
  video.hidden = false;
  const shown = playing(video);
  await connection.setRemoteDescription({ type: "answer", sdp: await answer.text() });
  await shown;
}

function stop() {
  const leaving = connection;
  if (session) {
    // Closed first, the session would be over by the time that its end is asked for.
    const headers = token ? { "X-CSRF-Token": token } : {};
    fetch(session, { method: "DELETE", headers, keepalive: true }).catch(() => {}).finally(() => leaving?.close());
  } else {
    leaving?.close();
  }
  connection = session = null;
  at("video").srcObject = null;
  at("jpeg").removeAttribute("src");
  for (const id of ["video", "jpeg", "stop"]) { at(id).hidden = true; }
}

async function watch(event) {
  event.preventDefault();
  stop();
  const camera = at("camera").value;
  const why = at("why").value;
  tell("");
  at("stop").hidden = false;
  try {
    await whep(camera, why);
  } catch (error) {
    if (!session) { stop(); tell(error.message); return; }
    stop();
    at("stop").hidden = false;
    at("jpeg").hidden = false;
    at("jpeg").src = `/cameras/${encodeURIComponent(camera)}/live.mjpeg?reason=${encodeURIComponent(why)}`;
    tell(word("noWebrtc"));
  }
}

at("form").addEventListener("submit", watch);
at("stop").addEventListener("click", () => { stop(); tell(""); });
addEventListener("pagehide", stop);
start().catch((error) => tell(error.message));
