// Keeps the live part of a page true without reloading it. Without script the page is as true as when it was opened.
const PACE = 3000;
const SLOWEST = 60000;
const part = document.querySelector("[data-live]");
const news = document.querySelector("[data-news]");

function said() {
  return [...part.querySelectorAll("[data-said]")].map((one) => one.dataset.said);
}

// Returns how long to wait before asking again; nothing when there is no use in it any more.
async function look(pace) {
  let answer;
  try {
    answer = await fetch(part.dataset.live, {
      cache: "no-store",
      headers: { "If-None-Match": `"${part.dataset.version}"`, "X-Live": "1" },
    });
  } catch {
    return Math.min(pace * 2, SLOWEST);
  }
  if (answer.status === 401) {
    news.classList.remove("unseen");
    news.classList.add("waiting");
    news.textContent = "Your session has ended, so this page is no longer kept up to date. Open Manage Tokens from your EHR again.";
    return null;
  }
  if (answer.status === 304) return PACE;
  if (!answer.ok) return Math.min(pace * 2, SLOWEST);
  const html = await answer.text();
  const before = said();
  const focused = part.contains(document.activeElement) ? document.activeElement.id : "";
  part.innerHTML = html;
  part.dataset.version = (answer.headers.get("ETag") ?? "").replaceAll(/^(W\/)?"|"$/g, "");
  if (focused) (document.getElementById(focused) ?? document.getElementById("main")).focus();
  const changed = said().filter((one) => !before.includes(one));
  if (changed.length) news.textContent = changed.join(". ");
  return PACE;
}

async function keep() {
  let pace = PACE;
  while (pace) {
    await new Promise((resolve) => setTimeout(resolve, pace));
    if (!document.hidden) pace = await look(pace);
  }
}

if (part) keep();
