// Signing in, and the first admin's name and password. The setup link's secret comes after #, which no server sees.

import { language, word } from "./words.js";

const form = document.getElementById("form");
const trouble = document.getElementById("trouble");
const secret = location.hash.slice(1);
history.replaceState(null, "", location.pathname);

document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
for (const element of document.querySelectorAll("[data-word]")) element.textContent = word(element.dataset.word);

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  trouble.textContent = "";
  const body = Object.fromEntries(new FormData(form));
  if (form.dataset.to === "/setup") body.token = secret;
  try {
    const answer = await fetch(form.dataset.to, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    if (answer.ok) location.replace("/");
    else trouble.textContent = (await answer.json()).detail;
  } catch {
    trouble.textContent = word("lost");
  }
});

const elsewhere = document.getElementById("oidc");
if (elsewhere) {
  const ways = await fetch("/login/ways").then((answer) => answer.json()).catch(() => ({}));
  elsewhere.hidden = !ways.oidc;
}
