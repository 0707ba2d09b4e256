// Asks for the parts of the page that change, once a second while somebody looks, and puts them in place.
"use strict";
(() => {
  const PERIOD = 1000, PATIENCE = 4000, LATE = 3000; // milliseconds
  const byId = (id) => document.getElementById(id);
  const age = byId("age"), pause = byId("pause"), filter = byId("filter"), root = document.documentElement;
  let isPaused = false, isAsking = false, isWanted = false, timer = 0, heard = performance.now(), trouble = "";

  const morphing = {
    callbacks: {
      beforeAttributeUpdated: (name) => name !== "open", // what somebody has opened stays open
      beforeNodeMorphed: (_, fresh) => fresh.dataset?.closed === undefined, // a closed drawer keeps what it has
    },
  };

  function show(html) {
    const fresh = new DOMParser().parseFromString(html, "text/html");
    const head = fresh.getElementById("head");
    if (head.dataset.page !== byId("head").dataset.page) return location.reload(); // another version runs now
    document.title = head.dataset.title;
    for (const part of fresh.querySelectorAll("[data-live]")) Idiomorph.morph(byId(part.id), part, morphing);
    sift();
  }

  async function ask() {
    clearTimeout(timer);
    if (isPaused || document.hidden) return;
    if (isAsking) return void (isWanted = true);
    isAsking = true;
    isWanted = false;
    try {
      const opened = [...document.querySelectorAll("#state details[open]")].map((each) => each.id);
      const query = "?part&open=" + opened.join(",");
      const answer = await fetch(query, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
      if (!answer.ok) throw new Error(`answered ${answer.status}`);
      const html = await answer.text();
      if (!isPaused) show(html);
      heard = performance.now();
      trouble = "";
    } catch (error) {
      trouble = error.message.startsWith("answered") ? error.message : "no answer";
    }
    isAsking = false;
    timer = setTimeout(ask, isWanted ? 0 : PERIOD);
    tell();
  }

  function tell() {
    const silence = performance.now() - heard, isLate = !isPaused && silence > LATE;
    const old = silence < 1500 ? "just now" : `${Math.round(silence / 1000)} s ago`;
    const words = isPaused ? `Paused, updated ${old}` : `Updated ${old}` + (isLate && trouble ? `: ${trouble}` : "");
    if (age.textContent !== words) age.textContent = words;
    root.classList.toggle("late", isLate);
  }

  function sift() {
    const words = filter.value.toLowerCase().split(" ").filter(Boolean);
    for (const line of document.querySelectorAll(".changes li")) {
      const text = line.textContent.toLowerCase();
      line.hidden = !words.every((word) => text.includes(word));
    }
  }

  root.classList.add("moves");
  filter.addEventListener("input", sift);
  pause.addEventListener("click", () => {
    isPaused = !isPaused;
    pause.setAttribute("aria-pressed", isPaused);
    tell();
    ask();
  });
  document.addEventListener("toggle", (event) => event.target.open && ask(), true);
  document.addEventListener("visibilitychange", ask);
  setInterval(tell, 500);
  ask();
})();
