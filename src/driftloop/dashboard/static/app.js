// What pages do beside HTMX: they go on by themselves, zoom, open dialogs, change their theme.
"use strict";

const REFRESH_MS = 1500;
const SETTLED_MS = 3000;

// Pages go on by themselves: the server tells that something changed, the page asks for its part.
const live = { due: false, busy: false, last: 0, timer: 0, late: 0 };

function mayRefresh() {
  const region = document.getElementById("live");
  if (!region || document.hidden) return false;
  if (document.getElementById("dialog").open || document.querySelector(".brush")) return false;
  if (region.querySelector(":focus-visible, input:checked")) return false; // not under one's hands
  const chosen = document.getSelection();
  return !(chosen && !chosen.isCollapsed && region.contains(chosen.anchorNode));
}

async function refresh() {
  clearTimeout(live.timer);
  if (!live.due || live.busy) return;
  const wait = live.last + REFRESH_MS - Date.now();
  if (wait > 0 || !mayRefresh()) {
    live.timer = setTimeout(refresh, Math.max(wait, 500));
    return;
  }
  live.due = false;
  live.busy = true;
  live.last = Date.now();
  const open = [...document.querySelectorAll("#live details[open][id]")].map((one) => one.id);
  try {
    await htmx.ajax("GET", location.pathname + location.search, { target: "#live", select: "#live", swap: "outerHTML" });
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  } finally {
    live.busy = false;
  }
}

function again() {
  live.due = true;
  refresh();
}

function follow() {
  const pulse = document.getElementById("pulse");
  if (!pulse) return;
  const source = new EventSource("/live");
  let first = true;
  source.addEventListener("changed", (event) => {
    const away = event.data !== "fresh";
    pulse.classList.toggle("away", away);
    pulse.textContent = away ? "Kafka is away" : "live";
    pulse.classList.remove("beat");
    if (!first) {
      void pulse.offsetWidth;
      pulse.classList.add("beat");
      again();
      // Figures of the whole fleet may be two seconds old: look once more when it is quiet.
      clearTimeout(live.late);
      live.late = setTimeout(again, SETTLED_MS);
    }
    first = false;
  });
  source.addEventListener("error", () => {
    pulse.classList.add("away");
    pulse.textContent = "connection lost";
    live.due = true;
  });
  addEventListener("pagehide", () => source.close());
}

// Dialogs
document.addEventListener("htmx:afterSwap", (event) => {
  const dialog = document.getElementById("dialog");
  if (event.detail.target.id === "dialog-body" && !dialog.open) dialog.showModal();
  dialog.querySelector("[autofocus]")?.focus();
});
document.addEventListener("click", (event) => {
  const dialog = document.getElementById("dialog");
  if (event.target.closest("[data-close]") || event.target === dialog) dialog.close();
});
document.addEventListener("change", (event) => {
  const name = event.target.dataset?.all;
  if (!name) return;
  for (const one of document.querySelectorAll(`input[name="${name}"]:not(:disabled)`)) one.checked = event.target.checked;
});

// The theme: as the system has it, until it is chosen here.
function theme() {
  const button = document.getElementById("theme");
  if (!button) return;
  const dark = () => {
    const chosen = document.documentElement.dataset.theme;
    return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  };
  const name = () => { button.textContent = dark() ? "Light" : "Dark"; };
  button.hidden = false;
  name();
  button.addEventListener("click", () => {
    const chosen = dark() ? "light" : "dark";
    document.documentElement.dataset.theme = chosen;
    document.cookie = `theme=${chosen}; path=/; max-age=31536000; samesite=strict`;
    name();
  });
}

// The plot of a stream: numbers where it is pointed at, and a drag zooms in.
function place(svg, event) {
  const box = svg.getBoundingClientRect();
  return ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
}

document.addEventListener("pointermove", (event) => {
  const told = document.getElementById("told");
  const shown = event.target.closest?.("[data-told]");
  told.hidden = !shown || Boolean(document.querySelector(".brush"));
  if (told.hidden) return;
  told.textContent = shown.dataset.told;
  const right = event.pageX + told.offsetWidth + 24 > innerWidth + scrollX;
  told.style.left = `${right ? Math.max(4, event.pageX - told.offsetWidth - 14) : event.pageX + 14}px`;
  told.style.top = `${event.pageY + 14}px`;
});

document.addEventListener("pointerdown", (event) => {
  const svg = event.target.closest?.("svg.timeline");
  if (!svg || event.button !== 0 || event.target.closest("a")) return;
  const left = Number(svg.dataset.left), right = Number(svg.dataset.right);
  const begin = Math.min(Math.max(place(svg, event), left), right);
  let brush = null;
  let end = begin;
  const move = (moved) => {
    end = Math.min(Math.max(place(svg, moved), left), right);
    if (Math.abs(end - begin) < 6 && !brush) return;
    if (!brush) {
      brush = document.createElementNS(svg.namespaceURI, "rect");
      brush.setAttribute("class", "brush");
      brush.setAttribute("y", "6");
      brush.setAttribute("height", String(Number(svg.dataset.bottom) - 6));
      svg.append(brush);
    }
    brush.setAttribute("x", String(Math.min(begin, end)));
    brush.setAttribute("width", String(Math.abs(end - begin)));
  };
  const done = () => {
    removeEventListener("pointermove", move);
    removeEventListener("pointerup", done);
    removeEventListener("pointercancel", done);
    brush?.remove();
    if (!brush || Math.abs(end - begin) < 6) return;
    const first = Number(svg.dataset.begin), span = Number(svg.dataset.end) - first;
    const at = (x) => Math.round(first + ((x - left) / (right - left)) * span);
    const query = new URLSearchParams(location.search);
    query.set("begin", at(Math.min(begin, end)));
    query.set("end", at(Math.max(begin, end)));
    location.search = query.toString();
  };
  addEventListener("pointermove", move);
  addEventListener("pointerup", done);
  addEventListener("pointercancel", done);
});

theme();
follow();
