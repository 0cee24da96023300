"use strict";
// Enhances a page that is complete without it: picks figures, sorts and filters tables, keeps the
// selection in the address. Text of data is only ever set as text.
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const make = (name, properties = {}, ...children) => {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(properties)) {
      if (key in node) node[key] = value;
      else node.setAttribute(key, value);
    }
    node.append(...children);
    return node;
  };
  const say = (text) => { document.querySelector(".live").textContent = text; };
  const hidden = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/gu;
  const signs = { "\n": "\u23ce", "\t": "\u2192", "\r": "\u21b5" };
  const visible = (text) =>
    text.replace(hidden, (c) => signs[c] ?? `\\u{${c.codePointAt(0).toString(16)}}`);

  // One selection, shared by all pickers: facet -> value.
  const FACETS = ["model", "dictionary", "task", "partition", "site", "kind"];
  const chosen = {};
  const pickers = [];

  const readHash = () => {
    const found = new URLSearchParams(location.hash.slice(1));
    for (const facet of FACETS) {
      const value = found.get(facet);
      if (value !== null && pickers.some((p) => p.values.get(facet)?.includes(value)))
        chosen[facet] = value;
    }
  };
  const writeHash = () => {
    const parts = FACETS.filter((f) => chosen[f] !== undefined)
      .map((f) => `${f}=${encodeURIComponent(chosen[f])}`);
    history.replaceState(null, "", `#${parts.join("&")}`);
  };

  class Picker {
    constructor(root) {
      this.figures = all(":scope > figure", root);
      this.facets = root.dataset.facets.split(" ");
      this.values = new Map(this.facets.map((facet) =>
        [facet, [...new Set(this.figures.map((figure) => figure.dataset[facet]))]]));
      this.bar = make("div", { className: "pick" });
      this.bar.setAttribute("role", "group");
      this.bar.setAttribute("aria-label", root.dataset.label);
      for (const facet of this.facets) this.addFacet(facet);
      if (this.bar.childElementCount) root.prepend(this.bar);
    }
    addFacet(facet) {
      const values = this.values.get(facet);
      if (values.length < 2) return;
      const row = make("div", { className: "facet" });
      row.setAttribute("role", "radiogroup");
      row.setAttribute("aria-label", facet);
      row.append(make("span", { textContent: facet, ariaHidden: "true" }));
      for (const value of values) {
        const button = make("button", { type: "button", textContent: visible(value) });
        button.setAttribute("role", "radio");
        button.dataset.facet = facet;
        button.dataset.value = value;
        button.addEventListener("click", () => select(facet, value));
        row.append(button);
      }
      row.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
        if (!step) return;
        event.preventDefault();
        const buttons = all("button", row);
        const next = buttons[(buttons.indexOf(document.activeElement) + step + buttons.length)
          % buttons.length];
        next.focus();
        next.click();
      });
      this.bar.append(row);
    }
    show() {
      const score = (figure) =>
        this.facets.filter((f) => figure.dataset[f] === chosen[f]).length;
      const wanted = this.figures.reduce((best, figure) =>
        score(figure) > score(best) ? figure : best, this.figures[0]);
      for (const figure of this.figures) figure.hidden = figure !== wanted;
      for (const button of all("button", this.bar)) {
        const on = wanted?.dataset[button.dataset.facet] === button.dataset.value;
        button.setAttribute("aria-checked", on);
        button.tabIndex = on ? 0 : -1;
      }
    }
  }
  const showAll = () => {
    for (const picker of pickers) picker.show();
    showCards();
  };
  const select = (facet, value) => {
    chosen[facet] = value;
    showAll();
    writeHash();
    say(`${facet}: ${value}`);
  };

  // Cards of a site, and the content of a card, lie in a template until they are looked at:
  // what is folded away weighs nothing, and keeps its state.
  const AT_ONCE = { ".card": 4, ".folded": 1 };
  const fold = (holder, wanted) => {
    const template = holder.querySelector(":scope > template");
    if (!template) return;
    if (wanted) {
      holder.append(template.content);
      enhanceTables(holder);
    } else while (template.nextSibling) template.content.append(template.nextSibling);
  };
  let opened = []; // those in view, the longest open first
  const showCards = () => {
    for (const deck of all(".deck")) fold(deck, !deck.closest("[hidden]"));
    const open = all(".card[open], .folded[open]").filter((card) => !card.closest("[hidden]"));
    opened = [...opened.filter((card) => open.includes(card)),
      ...open.filter((card) => !opened.includes(card))];
    for (const [kind, most] of Object.entries(AT_ONCE))
      for (const card of opened.filter((one) => one.matches(kind)).slice(0, -most))
        card.open = false;
    for (const card of all(".card, .folded")) fold(card, card.open);
  };
  document.addEventListener("toggle", ({ target }) => {
    if (target.matches(".card, .folded")) showCards();
  }, true);

  // Sorting: numbers by value, words by letters; fields that are not defined come last.
  const compare = (a, b, down) => {
    if (a === "" || b === "") return (a === "") - (b === "");
    const x = Number(a), y = Number(b);
    const order = Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b, "en") : x - y;
    return down ? -order : order;
  };
  const sortable = (head, onSort) => {
    all("th", head).forEach((cell, index) => {
      const button = make("button", { type: "button", textContent: cell.textContent });
      cell.replaceChildren(button);
      button.addEventListener("click", () => {
        const down = cell.getAttribute("aria-sort") === "ascending";
        for (const other of all("th", head)) other.removeAttribute("aria-sort");
        cell.setAttribute("aria-sort", down ? "descending" : "ascending");
        onSort(index, down);
      });
    });
  };
  const enhance = (table) => {
    const body = table.tBodies[0];
    const key = (row, index) =>
      row.cells[index].querySelector("data")?.value
      ?? (row.cells[index].querySelector(".undefined") ? "" : row.cells[index].textContent);
    sortable(table.tHead, (index, down) =>
      body.append(...[...body.rows].sort((a, b) => compare(key(a, index), key(b, index), down))));
  };

  const enhanceTables = (root) =>
    all("table[data-table]", root).filter((table) => !table.tHead.querySelector("button"))
      .forEach(enhance);

  // The whole tables of the appendix.
  const CHUNK = 50;
  let data = null;
  const tables = () =>
    (data ??= JSON.parse(document.getElementById("tables-data").textContent));
  const whole = (parts) => {
    const count = Math.max(0, ...parts.map((part) => (part.at ?? part.words).length));
    const rows = Array.from({ length: count }, (_, row) =>
      parts.map((part) => part.words[part.at ? part.at[row] : row]));
    return { columns: parts.map((part) => part.name), rows };
  };
  const csv = ({ columns, rows }) => [columns, ...rows]
    .map((row) => row.map((field) =>
      /[",\r\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field).join(","))
    .join("\n") + "\n";
  const download = (name, text) => {
    const link = make("a", { href: URL.createObjectURL(new Blob([text])), download: name });
    link.click();
    URL.revokeObjectURL(link.href);
  };
  const views = new Map();
  const open = (details) => {
    const name = details.dataset.table;
    if (!tables()[name] || details.dataset.ready) return views.get(name)?.();
    const source = whole(tables()[name]);
    details.dataset.ready = "yes";
    const view = { order: null, down: false, words: "", shown: CHUNK };
    const body = make("tbody");
    const head = make("thead", {}, make("tr", {},
      ...source.columns.map((column) => make("th", { textContent: column, scope: "col" }))));
    const count = make("span");
    const filter = make("input", { type: "search", placeholder: "filter rows" });
    filter.setAttribute("aria-label", `Filter ${name}`);
    const more = make("button", { type: "button", textContent: "Show more rows" });
    const save = make("button", { type: "button", textContent: "Download CSV" });
    const draw = () => {
      let rows = source.rows.filter((row) =>
        view.words.split(/\s+/).every((word) =>
          row.some((field) => field.toLowerCase().includes(word))));
      if (view.order !== null)
        rows = [...rows].sort((a, b) => compare(a[view.order], b[view.order], view.down));
      body.replaceChildren(...rows.slice(0, view.shown).map((row) => make("tr", {},
        ...row.map((field) => make("td", { textContent: visible(field.slice(0, 400)) })))));
      more.hidden = rows.length <= view.shown;
      count.textContent = `${Math.min(view.shown, rows.length)} of ${rows.length} rows`;
      say(count.textContent);
    };
    sortable(head, (index, down) => { view.order = index; view.down = down; draw(); });
    filter.addEventListener("input", () => {
      view.words = filter.value.trim().toLowerCase();
      view.shown = CHUNK;
      draw();
    });
    more.addEventListener("click", () => { view.shown += 4 * CHUNK; draw(); });
    save.addEventListener("click", () => download(name, csv(source)));
    const frame = make("div", { className: "table", tabIndex: 0 },
      make("table", {}, head, body));
    frame.setAttribute("role", "group");
    frame.setAttribute("aria-label", name);
    details.querySelector("pre").replaceWith(
      make("div", { className: "search" }, filter, count, save), frame, more);
    views.set(name, (closed) => closed ? body.replaceChildren() : draw());
    draw();
  };

  for (const root of all(".picker")) pickers.push(new Picker(root));
  readHash();
  showAll();
  addEventListener("hashchange", () => {
    readHash();
    showAll();
  });
  enhanceTables(document.querySelector("main"));
  for (const details of all("details.source-table"))
    details.addEventListener("toggle", () => {
      if (details.open) open(details);
      else views.get(details.dataset.table)?.(true); // closed tables weigh nothing
    });
  for (const figure of all("figure.plot")) {
    const image = figure.querySelector("img");
    if (image) figure.querySelector(".sheet").after(make("p", { className: "plot-tools" },
      make("a", { className: "button", href: image.src, download: `${figure.id}.svg`,
        textContent: "Download SVG" })));
  }
  document.querySelector(".keys").hidden = false;
  addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.target.matches("input, select, textarea")) return;
    event.preventDefault();
    const details = document.querySelector("details.source-table[open]")
      ?? document.querySelector("details.source-table");
    details.open = true;
    open(details);
    details.querySelector("input")?.focus();
  });

  // The section in view is marked in the navigation.
  const links = new Map(all("nav a").map((link) => [link.hash.slice(1), link]));
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) {
      for (const link of links.values()) link.removeAttribute("aria-current");
      links.get(entry.target.id)?.setAttribute("aria-current", "true");
    }
  }, { rootMargin: "-20% 0px -70% 0px" });
  all("main > section").forEach((section) => seen.observe(section));
})();
