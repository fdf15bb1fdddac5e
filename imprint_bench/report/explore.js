// Filter instances by model, dataset, task and setting; draw the heat map; compare generators.
const source = document.getElementById("explore-data");
if (source) explore(JSON.parse(source.textContent));

function explore({ noun, nouns, axes, codes, generators, accuracy }) {
  const MOST_COLUMNS = 60; // of tasks in a heat map; beyond, their means
  const WIDE = 12; // columns that a page has room for; beyond, tasks go down
  const RAMP = [[243, 246, 250], [198, 217, 234], [127, 176, 211], [58, 127, 181], [13, 59, 102]];
  const at = (id) => document.getElementById(`explore-${id}`);
  const filters = [...document.querySelectorAll("fieldset[data-filter]")];
  const indices = [...codes.fm.keys()];

  // Which names of each axis are chosen; an axis without a filter has one name.
  function chosen() {
    const sets = Object.fromEntries(Object.keys(axes).map((axis) => [axis, null]));
    for (const filter of filters) {
      const checked = [...filter.querySelectorAll("input:checked")];
      sets[filter.dataset.filter] = new Set(checked.map((box) => Number(box.value)));
    }
    return sets;
  }

  function element(tag, text, attributes = {}) {
    const made = document.createElement(tag);
    made.textContent = text;
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  }

  // Two decimals, a tie to the even one, as everywhere else on the page.
  const percent = (x) => ((100 * x * 8) % 8 === 1 || (100 * x * 8) % 8 === 5
    ? 100 * x - 0.005 : 100 * x).toFixed(2);
  const mean = (values) => values.reduce((sum, v) => sum + v, 0) / values.length;
  const spread = (values) => {
    const center = mean(values);
    return Math.sqrt(values.reduce((sum, v) => sum + (v - center) ** 2, 0) / (values.length - 1));
  };
  const count = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;

  // Average ranks over instances; 1 is the highest accuracy, ties share the mean rank.
  function averageRanks(columns, rows) {
    const sums = columns.map(() => 0);
    for (const i of rows) {
      columns.forEach((column, g) => {
        let rank = 0.5;
        for (const other of columns) {
          rank += other[i] > column[i] ? 1 : other[i] === column[i] ? 0.5 : 0;
        }
        sums[g] += rank;
      });
    }
    return sums.map((sum) => sum / rows.length);
  }

  // What the table of generators says: those on at least half of the instances that any
  // generator is on are compared where all of these are; of the others, what there is.
  function compare(kept) {
    const lines = generators.map((generator, g) => {
      const own = kept.filter((i) => accuracy[g][i] !== null);
      return { ...generator, column: accuracy[g], own, rank: null };
    }).filter((line) => line.own.length);
    const most = Math.max(0, ...lines.map((line) => line.own.length));
    const compared = lines.filter((line) => 2 * line.own.length >= most);
    const common = kept.filter((i) => compared.every((line) => line.column[i] !== null));
    if (common.length) {
      const ranks = averageRanks(compared.map((line) => line.column), common);
      compared.forEach((line, g) => Object.assign(line, { own: common, rank: ranks[g] }));
    }
    for (const line of lines) {
      const values = line.own.map((i) => line.column[i]);
      Object.assign(line, { mean: mean(values), std: values.length > 1 ? spread(values) : null });
    }
    lines.sort((a, b) => a.oracle - b.oracle || (a.rank ?? Infinity) - (b.rank ?? Infinity)
      || b.mean - a.mean);
    return { lines, common: common.length };
  }

  function drawTable(kept) {
    const { lines, common } = compare(kept);
    // Many generators without a rank would bury the others; where no one has any, all are shown.
    const without = common ? lines.filter((line) => line.rank === null) : [];
    fill(at("table"), lines.filter((line) => !without.includes(line)));
    fill(at("others-table"), without);
    at("others").hidden = !without.length;
    at("others").firstElementChild.textContent = `${count(without.length, noun)} without a rank`;
    at("note").textContent = !lines.length ? "No result on these instances."
      : !common ? `No instance is shared by these ${noun}s: mean and sample standard deviation over `
        + "the instances of each, and no ranks."
      : `Mean and sample standard deviation over ${count(common, "instance")}, and the average rank `
        + `among the ${noun}s compared there (1 is best, ties share the mean rank).`;
  }

  function fill(table, lines) {
    table.tBodies[0].replaceChildren(...lines.map((line) => {
      const row = element("tr", "", line.oracle ? { class: "oracle" } : {});
      const numbers = [[line.mean, percent], [line.std, percent], [line.rank, (x) => x.toFixed(2)],
        [line.own.length, (n) => n.toLocaleString("en")]];
      row.append(element("td", line.name), ...numbers.map(([value, show]) =>
        element("td", value === null ? "–" : show(value), { class: "number", "data-key": value ?? "" })),
      element("td", line.configuration));
      return row;
    }));
    for (const head of table.tHead.rows[0].cells) head.removeAttribute("aria-sort");
  }

  // Tasks as rows or columns of the heat map: one of each instance if they are few enough.
  function taskKeys(kept) {
    const levels = [["dataset", "task", "variant"], ["dataset", "task", "setting"],
      ["dataset", "task"], ["dataset"]];
    let found;
    for (const level of levels) {
      found = new Map();
      for (const i of kept) {
        const key = level.map((axis) => codes[axis][i]);
        if (!found.has(key.join())) found.set(key.join(), { key, level });
      }
      if (found.size <= MOST_COLUMNS) break;
    }
    const keys = [...found.values()];
    const plain = keys.every(({ key }) => key[2] === keys[0].key[2]);
    keys.sort((a, b) => a.key.map((c, n) => c - b.key[n]).find((d) => d) ?? 0);
    return keys.map(({ key, level }) => {
      const names = key.map((code, n) => axes[level[n]][code]);
      const label = names.slice(1, plain ? 2 : 3).join(" · ");
      return { id: key.join(), level, group: names[0], label: label || `all ${nouns.task}s` };
    });
  }

  // Mean and number of accuracies by "model|task" key.
  function cellsOf(kept, column, level) {
    const cells = new Map();
    for (const i of kept) {
      if (column[i] === null) continue;
      const key = `${codes.fm[i]}|${level.map((axis) => codes[axis][i]).join()}`;
      const cell = cells.get(key) ?? { sum: 0, n: 0 };
      cells.set(key, { sum: cell.sum + column[i], n: cell.n + 1 });
    }
    return cells;
  }

  function color(t) {
    const place = Math.min(t * (RAMP.length - 1), RAMP.length - 1.000001);
    const low = Math.floor(place);
    return RAMP[low].map((c, n) => Math.round(c + (RAMP[low + 1][n] - c) * (place - low)));
  }

  // Black or white, whichever stands out more (relative luminance, WCAG 2).
  function ink(rgb) {
    const [r, g, b] = rgb.map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92
      : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000" : "#fff";
  }

  // Runs of equal groups, for headings that span several rows or columns.
  function runs(keys) {
    const out = [];
    for (const { group } of keys) {
      if (out.length && out.at(-1).group === group) out.at(-1).n += 1;
      else out.push({ group, n: 1 });
    }
    return out;
  }

  const broken = (name) => name.replaceAll("_", "_\u200b");

  function grid(rowKeys, columnKeys, cellAt) {
    const table = element("table", "", { class: "heat" });
    const head = table.createTHead();
    const grouped = columnKeys[0].group !== undefined;
    if (grouped) {
      const line = head.insertRow();
      line.append(element("td", "", { rowspan: 2 }));
      line.append(...runs(columnKeys).map(({ group, n }) =>
        element("th", broken(group), { scope: "colgroup", colspan: n, class: "group" })));
    }
    const line = head.insertRow();
    if (!grouped) line.append(element("td", ""));
    line.append(...columnKeys.map(({ label }) => element("th", broken(label), { scope: "col" })));
    const bodies = new Map(); // one for each group of rows
    for (const key of rowKeys) {
      if (!bodies.has(key.group)) {
        bodies.set(key.group, table.createTBody());
        if (key.group !== undefined) {
          const title = element("tr", "", { class: "group" });
          title.append(element("th", key.group, { scope: "rowgroup", colspan: columnKeys.length + 1 }));
          bodies.get(key.group).append(title);
        }
      }
      const row = bodies.get(key.group).insertRow();
      row.append(element("th", key.label, { scope: "row" }));
      row.append(...columnKeys.map((other) => cellAt(key, other)));
    }
    return table;
  }

  function drawMap(kept) {
    const g = Number(at("generator").value);
    const tasks = kept.length ? taskKeys(kept) : [];
    const cells = tasks.length ? cellsOf(kept, accuracy[g], tasks[0].level) : new Map();
    const values = [...cells.values()].map(({ sum, n }) => sum / n);
    at("scale").hidden = !values.length;
    if (!values.length) {
      at("map").replaceChildren();
      at("caption").textContent = "No result on these instances.";
      return;
    }
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const models = [...new Set(kept.map((i) => codes.fm[i]))].sort((a, b) => a - b)
      .map((code) => ({ id: `${code}`, label: axes.fm[code], model: true }));
    const cellAt = (a, b) => {
      const [model, task] = a.model ? [a, b] : [b, a];
      const cell = cells.get(`${model.id}|${task.id}`);
      if (!cell) return element("td", "–", { class: "empty" });
      const value = cell.sum / cell.n;
      const rgb = color(high > low ? (value - low) / (high - low) : 0.5);
      const made = element("td", (100 * value).toFixed(1));
      made.style.backgroundColor = `rgb(${rgb})`;
      made.style.color = ink(rgb);
      made.title = `${model.label} · ${task.group} · ${task.label}: ${percent(value)} %`
        + (cell.n > 1 ? ` (mean over ${count(cell.n, "instance")})` : "");
      return made;
    };
    const across = tasks.length <= WIDE && tasks.length * 56 + 170 <= at("map").clientWidth;
    at("map").replaceChildren(across ? grid(models, tasks, cellAt) : grid(tasks, models, cellAt));
    const [first, , last] = at("scale").children;
    [first.textContent, last.textContent] = [percent(low), `${percent(high)} %`];
    const most = Math.max(...[...cells.values()].map(({ n }) => n));
    at("caption").textContent = `${generators[g].configuration}. `
      + (most > 1 ? `A cell is the mean over up to ${count(most, "instance")} (`
        + `${noun === "method" ? "recipes" : "label mappings, rows per class"} or ${nouns.task}s). ` : "")
      + "Dark is the highest of what is shown.";
  }

  // Rows of other tables that name a model, dataset or task.
  function filterTables(sets) {
    for (const table of document.querySelectorAll("table[data-sortable]")) {
      const heads = [...table.tHead.rows[0].cells];
      const axis = heads.map((head) => head.dataset.axis).map((name) => (sets[name] ? name : null));
      if (!axis.some((name) => name)) continue;
      const names = axis.map((name) => name && new Set([...sets[name]].map((c) => axes[name][c])));
      const known = axis.map((name) => name && new Set(axes[name]));
      let shown = 0;
      for (const row of table.tBodies[0].rows) {
        row.hidden = names.some((set, i) => {
          const key = set && keyOf(row.cells[i]);
          return set && known[i].has(key) && !set.has(key);
        });
        shown += !row.hidden;
      }
      const all = table.tBodies[0].rows.length;
      const box = table.parentElement;
      if (box.previousElementSibling.className !== "filtered") {
        box.before(element("p", "", { class: "filtered" }));
      }
      const note = box.previousElementSibling;
      note.hidden = shown === all;
      note.replaceChildren(`${shown} of ${count(all, "row")}, as chosen under `,
        element("a", "Instance by instance", { href: "#explore" }), ".");
    }
  }

  function told(kept) {
    const parts = filters.map((filter) => {
      const boxes = [...filter.querySelectorAll("input")];
      const names = boxes.filter((box) => box.checked).map((box) => box.nextElementSibling.textContent);
      const which = names.length === boxes.length ? "all" : names.length ? names.join(", ") : "none";
      return `${filter.dataset.noun}: ${which}`;
    });
    const all = indices.length.toLocaleString("en");
    return [`${kept.length.toLocaleString("en")} of ${all} instances`, ...parts].join("; ") + ".";
  }

  let kept = indices;
  function update() {
    const sets = chosen();
    const active = Object.entries(sets).filter(([, set]) => set);
    kept = indices.filter((i) => active.every(([axis, set]) => set.has(codes[axis][i])));
    at("state").textContent = told(kept);
    drawMap(kept);
    drawTable(kept);
    filterTables(sets);
  }

  for (const filter of filters) {
    filter.addEventListener("change", update);
    filter.addEventListener("click", ({ target }) => {
      if (!target.dataset.choose) return;
      for (const box of filter.querySelectorAll("input")) box.checked = target.dataset.choose === "all";
      update();
    });
  }
  at("generator").addEventListener("change", () => drawMap(kept));
  addEventListener("resize", () => drawMap(kept));
  at("scale").children[1].style.background =
    `linear-gradient(to right, ${RAMP.map((rgb) => `rgb(${rgb})`).join()})`;
  update();
}
