// The gallery: each pair as its prompts and images with scores, of one model or of two side by side.
// Everything that came from a model, a suite or a submission is set as text, never as markup.
"use strict";

(() => {
  const FIRST = 24;   // cards drawn at once; the others follow while the browser is idle
  const CHUNK = 40;
  const LIMIT = 1200; // cards before "Show more" is asked for
  const PASS = 0.5;

  const titles = {
    overall_appearance: "Overall appearance", color: "Color", counting: "Counting", position: "Position",
    style_tone: "Style & tone", text: "Text",
  };

  function el(name, attributes, ...children) {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) {
      if (value === null || value === undefined || value === false) continue;
      node.setAttribute(key, value === true ? "" : value);
    }
    for (const child of children.flat()) {
      if (child !== null && child !== undefined) node.append(child);
    }
    return node;
  }

  const percent = (value) => (value === null || value === undefined ? "–" : (100 * value).toFixed(1));
  const signed = (value) => (value === null ? "–" : (value > 0 ? "+" : value < 0 ? "−" : "") + Math.abs(100 * value).toFixed(1));

  // Gallery files are scripts that call this, because pages opened from a folder may not fetch.
  const arrived = new Map();
  window.paircompGallery = (data) => arrived.set(data.name, data);

  function loadScript(source) {
    return new Promise((resolve, reject) => {
      const script = el("script", { src: source });
      script.onload = resolve;
      script.onerror = () => reject(new Error(`could not load ${source}`));
      document.head.append(script);
    });
  }

  class Gallery {
    constructor(root) {
      this.root = root;
      this.form = root.querySelector("form");
      this.list = root.querySelector(".cards");
      this.count = root.querySelector(".count");
      this.base = root.dataset.base || "";
      this.live = root.dataset.live === "yes";
      this.first = null;
      this.second = null;
      this.run = 0;
      this.form.addEventListener("submit", (event) => event.preventDefault());
      this.form.addEventListener("input", (event) => {
        if (event.target.name !== "with") this.changed();
      });
      this.form.elements.with?.addEventListener("change", () => this.pickSecond());
      window.addEventListener("hashchange", () => this.follow());
      window.addEventListener("beforeprint", () => this.drawAll());
    }

    field(name) { return this.form.elements[name] ? this.form.elements[name].value : ""; }

    async source(name) {
      if (!arrived.has(name)) await loadScript(`${this.base}galleries/${encodeURIComponent(name)}.js`);
      return arrived.get(name);
    }

    async start() {
      try {
        this.readAddress();
        if (this.live) return await this.watch();
        this.first = await this.source(this.root.dataset.name);
        await this.pickSecond(false);
        this.fillSubtasks();
        this.readAddress();
        this.draw();
        this.follow();
      } catch (error) {
        this.say(`The gallery could not be read: ${error.message}`);
      }
    }

    // The command's own page asks again while the run goes on.
    async watch() {
      const tick = async () => {
        const names = ["0", ...(this.root.dataset.second === "yes" ? ["1"] : [])];
        try {
          const answers = await Promise.all(names.map((name) => this.ask(name)));
          if (answers.some(Boolean)) {
            if (answers[0]) this.first = answers[0];
            if (answers[1]) this.second = answers[1];
            this.fillSubtasks();
            this.draw(true);
          }
          this.root.classList.remove("lost");
        } catch {
          this.root.classList.add("lost");
          this.say("The command that serves this page has ended; what is shown is its last state.");
          return;
        }
        setTimeout(tick, 2000);
      };
      this.stamps = {};
      await tick();
      this.follow();
    }

    async ask(name) {
      const answer = await fetch(`data/${name}?since=${encodeURIComponent(this.stamps[name] || "")}`, { cache: "no-store" });
      if (answer.status === 204) return null;
      if (!answer.ok) throw new Error(await answer.text());
      const data = await answer.json();
      this.stamps[name] = data.stamp;
      return data;
    }

    async pickSecond(redraw = true) {
      const name = this.field("with");
      this.second = name ? await this.source(name) : null;
      if (!this.second && this.field("show").startsWith("flipped")) this.form.elements.show.value = "all";
      if (!this.second && this.field("sort") === "change") this.form.elements.sort.value = "margin";
      if (redraw) this.changed();
    }

    fillSubtasks() {
      const select = this.form.elements.subtask;
      const names = [...new Set(this.first.pairs.map((pair) => pair.subtask))];
      const known = [...select.options].map((option) => option.value);
      for (const name of names) if (!known.includes(name)) select.append(el("option", { value: name }, titles[name] || name));
      for (const option of this.form.querySelectorAll(".needs-two")) option.disabled = !this.second;
    }

    changed() {
      this.fillSubtasks();
      this.writeAddress();
      this.draw();
    }

    // The address keeps the choices, so that a view can be linked to.
    readAddress() {
      const asked = new URLSearchParams(location.hash.slice(1));
      for (const name of ["with", "subtask", "show", "sort", "search"]) {
        const field = this.form.elements[name];
        if (!field || !asked.has(name)) continue;
        if (field.tagName === "SELECT" && ![...field.options].some((option) => option.value === asked.get(name))) continue;
        field.value = asked.get(name);
      }
    }

    writeAddress() {
      const said = new URLSearchParams();
      for (const [name, value] of new FormData(this.form)) {
        const field = this.form.elements[name];
        const usual = field.tagName === "SELECT" ? field.options[0].value : "";
        if (value !== usual) said.set(name, value);
      }
      history.replaceState(null, "", said.size ? `#${said}` : location.pathname + location.search);
    }

    follow() {
      const asked = new URLSearchParams(location.hash.slice(1)).get("pair") || (location.hash.match(/^#pair-(\d+)$/) || [])[1];
      if (asked) {
        this.drawAll();
        const card = document.getElementById(`pair-${asked}`);
        if (card) { card.scrollIntoView({ block: "center" }); card.focus({ preventScroll: true }); }
      } else if (location.hash.length > 1 && location.hash.includes("=")) {
        this.root.scrollIntoView();
      }
    }

    chosen() {
      const others = new Map(this.second ? this.second.pairs.map((pair) => [pair.pair, pair]) : []);
      const subtask = this.field("subtask"), show = this.field("show"), search = this.field("search").trim().toLowerCase();
      const rows = this.first.pairs.map((pair) => ({ pair, other: others.get(pair.pair) || null }));
      const kept = rows.filter(({ pair, other }) =>
        (!subtask || pair.subtask === subtask) && shows(show, pair, other) && (!search || words(pair).includes(search)));
      return kept.sort(order(this.field("sort")));
    }

    draw(keepPlace = false) {
      const mine = ++this.run;
      const place = window.scrollY;
      this.rows = this.chosen();
      this.drawn = 0;
      this.limit = LIMIT;
      this.list.classList.toggle("two", Boolean(this.second));
      this.list.replaceChildren();
      this.more(keepPlace ? this.rows.length : FIRST);
      if (keepPlace) window.scrollTo(0, place);
      const total = this.first.pairs.length;
      const part = this.rows.length === total ? `${total} pairs` : `${this.rows.length} of ${total} pairs`;
      this.say(this.first.state ? `${part}. ${this.first.state}` : part);
      const later = window.requestIdleCallback || ((work) => setTimeout(work, 30));
      const step = () => {
        if (mine !== this.run || this.drawn >= Math.min(this.rows.length, this.limit)) return;
        this.more(CHUNK);
        later(step);
      };
      later(step);
    }

    drawAll() {
      if (!this.rows) return;
      this.limit = Infinity;
      this.more(this.rows.length);
    }

    more(count) {
      const end = Math.min(this.rows.length, this.limit, this.drawn + count);
      const cards = this.rows.slice(this.drawn, end).map((row) => this.card(row));
      this.drawn = end;
      this.list.append(...cards);
      this.list.querySelector(".show-more")?.remove();
      if (this.drawn >= this.limit && this.drawn < this.rows.length) {
        const button = el("button", { type: "button" }, `Show ${this.rows.length - this.drawn} more`);
        button.addEventListener("click", () => this.drawAll());
        this.list.append(el("li", { class: "show-more" }, button));
      }
    }

    say(text) { if (this.count.textContent !== text) this.count.textContent = text; }

    card({ pair, other }) {
      const headline = el("h3", {},
        el("a", { href: `#pair-${pair.pair}`, class: "pair-number" }, `${pair.pair}`),
        el("span", { class: "subtask" }, titles[pair.subtask] || pair.subtask),
        pair.id !== String(pair.pair) ? el("span", { class: "pair-id" }, pair.id) : null);
      const sides = [this.side(pair, this.first)];
      if (this.second) sides.push(this.side(other, this.second));
      const change = this.second && other ? verdict(pair, other) : null;
      return el("li", { class: "card", id: `pair-${pair.pair}`, tabindex: "-1" },
        el("div", { class: "card-head" }, headline, change),
        el("div", { class: "sides" }, sides));
    }

    side(pair, data) {
      const name = this.second ? el("p", { class: "side-name" }, data.label) : null;
      // The line of numbers must not wrap where two models stand side by side, or their images slip apart.
      const margin = pair && pair.margin !== null ? el("span", { class: "margin" }, `margin ${signed(pair.margin)}`) : null;
      if (!pair) return el("div", { class: "side" }, name, el("p", { class: "muted" }, "not in this run"));
      const numbers = el("p", { class: "numbers" },
        el("span", {}, el("i", {}, "g"), ` ${percent(pair.g)}`),
        el("span", {}, el("i", {}, "a"), ` ${percent(pair.a)}`),
        margin,
        el("span", { class: `verdict ${pair.passed === null ? "unscored" : pair.passed ? "passed" : "failed"}` },
          pair.passed === null ? "unscored" : pair.passed ? "pass" : "fail"));
      const prompts = pair.own.map((scores, prompt) => el("div", { class: "prompt" },
        this.prompt(pair, prompt),
        el("div", { class: "shots" }, scores.map((score, sample) => this.shot(pair, data, prompt, sample, score)))));
      return el("div", { class: "side" }, name, numbers, prompts);
    }

    prompt(pair, prompt) {
      if (!pair.pieces) return el("p", { class: "wording" }, el("code", {}, `sha256 ${pair.hashes[prompt].slice(0, 16)}`));
      return el("p", { class: "wording" },
        pair.pieces[prompt].map(([text, differs]) => (differs ? el("mark", {}, text) : text)));
    }

    shot(pair, data, prompt, sample, score) {
      const wording = pair.pieces ? pair.pieces[prompt].map(([text]) => text).join("") : `prompt ${prompt + 1}`;
      const source = pair.images[prompt][sample];
      const why = pair.why[`${prompt}_${sample}`];
      const alt = `Image ${sample + 1} of ${data.label} for “${wording}”, ${score === null ? "unscored" : `score ${percent(score)}`}`;
      const picture = source
        ? el("img", { src: this.base + data.folder + source, alt, loading: "lazy", decoding: "async", width: 128, height: 128,
                      class: data.pixelated ? "pixelated" : null })
        : el("div", { class: "no-image", role: "img", "aria-label": alt }, why || "no thumbnail");
      const caption = score === null
        ? el("figcaption", { class: "unscored" }, source && why ? why : "unscored")
        : el("figcaption", { class: score >= PASS ? "passed" : "failed" }, `${score >= PASS ? "✓" : "✗"} ${percent(score)}`);
      return el("figure", {}, picture, caption);
    }
  }

  function words(pair) {
    const text = pair.pieces ? pair.pieces.map((pieces) => pieces.map(([piece]) => piece).join("")).join(" ") : "";
    return `${pair.pair} ${pair.id} ${text}`.toLowerCase();
  }

  function shows(show, pair, other) {
    switch (show) {
      case "failed": return pair.passed === false;
      case "passed": return pair.passed === true;
      case "unscored": return pair.passed === null;
      case "flipped": return Boolean(other) && other.passed !== null && pair.passed !== null && other.passed !== pair.passed;
      case "flipped-lost": return Boolean(other) && pair.passed === false && other.passed === true;
      case "flipped-won": return Boolean(other) && pair.passed === true && other.passed === false;
      default: return true;
    }
  }

  const last = (value) => (value === null || value === undefined ? Infinity : value);

  function order(sort) {
    const byPair = (x, y) => x.pair.pair - y.pair.pair;
    const by = (key) => (x, y) => {
      const [a, b] = [last(key(x)), last(key(y))];
      return a === b ? byPair(x, y) : a - b;
    };
    const change = (row) => (row.other && row.other.g !== null && row.pair.g !== null ? row.pair.g - row.other.g : null);
    switch (sort) {
      case "pair": return byPair;
      case "g": return by((row) => row.pair.g);
      case "best": return by((row) => (row.pair.g === null ? null : -row.pair.g));
      case "change": return by(change);
      default: return by((row) => (row.pair.margin === null ? row.pair.g : row.pair.margin));
    }
  }

  function verdict(pair, other) {
    if (pair.passed === null || other.passed === null || pair.passed === other.passed) return null;
    return el("span", { class: `flip ${pair.passed ? "won" : "lost"}` }, pair.passed ? "passes here only" : "fails here only");
  }

  for (const root of document.querySelectorAll(".gallery")) {
    const gallery = new Gallery(root);
    root.gallery = gallery;
    gallery.start();
  }
})();
