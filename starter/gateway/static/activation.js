// Keeps what is marked data-live up to date: asks for it every few seconds, and replaces it only when it has changed, so
// that screen readers speak up only then. Without this script the page reloads itself.
"use strict";

const EVERY = 4000;

for (const place of document.querySelectorAll("[data-live]")) {
  const look = async () => {
    if (!document.hidden) {
      try {
        const answer = await fetch(place.dataset.live, { cache: "no-store" });
        const text = answer.ok ? (await answer.text()).trim() : "";
        if (text && text !== place.innerHTML.trim()) {
          const holder = document.createElement("template");
          holder.innerHTML = text;
          if (holder.innerHTML.trim() !== place.innerHTML.trim()) place.replaceChildren(holder.content);
        }
      } catch {
        // Away for a moment: what is there stays, and the next look may find it.
      }
    }
    const state = place.querySelector("[data-state]")?.dataset.state;
    if (state !== "active" && state !== "ended") setTimeout(look, EVERY);
  };
  setTimeout(look, EVERY);
}
