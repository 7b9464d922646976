// Keeps the live parts of a page true without reloading it. Without script a page is as true as when it was opened, or
// reloads itself.
//
// data-live is where to ask; data-version, where there is one, the edition that is shown; data-news, where new data-said
// sentences are read out. A part whose data-state is active or ended is asked for no more.
"use strict";

const PACE = 3000;
const SLOWEST = 60000;
const news = document.querySelector("[data-news]");

const said = (part) => [...part.querySelectorAll("[data-said]")].map((one) => one.dataset.said);

function parsed(html) {
  const holder = document.createElement("template");
  holder.innerHTML = html.trim();
  return holder;
}

// Only what has changed is replaced, so that screen readers speak up only then; the focus stays where it was.
function show(part, html) {
  const fresh = parsed(html);
  if (fresh.innerHTML === parsed(part.innerHTML).innerHTML) return;
  const before = said(part);
  const focused = part.contains(document.activeElement) ? document.activeElement.id : "";
  part.replaceChildren(fresh.content);
  if (focused) (document.getElementById(focused) ?? document.getElementById("main")).focus();
  const changed = said(part).filter((one) => !before.includes(one));
  if (changed.length && news) news.textContent = changed.join(". ");
}

function ended() {
  if (!news) return;
  news.classList.remove("unseen");
  news.classList.add("waiting");
  news.textContent = "Your session has ended, so this page is no longer kept up to date. Open Manage Tokens from your EHR again.";
}

// Returns how long to wait before asking again; nothing when there is no use in it any more.
async function look(part, pace) {
  const headers = { "X-Live": "1" };
  if (part.dataset.version) headers["If-None-Match"] = `"${part.dataset.version}"`;
  let answer, html;
  try {
    answer = await fetch(part.dataset.live, { cache: "no-store", headers });
    html = answer.status === 200 ? await answer.text() : "";
  } catch {
    return Math.min(pace * 2, SLOWEST);
  }
  if (answer.status === 401) return ended();
  if (answer.status === 304) return PACE;
  if (!html) return Math.min(pace * 2, SLOWEST);
  show(part, html);
  const edition = answer.headers.get("ETag");
  if (edition) part.dataset.version = edition.replaceAll(/^(W\/)?"|"$/g, "");
  return PACE;
}

async function keep(part) {
  let pace = PACE;
  while (pace && !part.querySelector("[data-state=active], [data-state=ended]")) {
    await new Promise((resolve) => setTimeout(resolve, pace));
    if (!document.hidden) pace = await look(part, pace);
  }
}

for (const part of document.querySelectorAll("[data-live]")) keep(part);
