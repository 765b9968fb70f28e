// The charts of the last five minutes, drawn by uPlot.

import { make, pill, show } from "./dom.js";
import * as format from "./format.js";
import { seconds, values } from "./history.js";

const FONT = "12px system-ui, sans-serif";
const RECENT = 5;  // a legend shows the newest value that is known, of so many seconds
const STRIP = 4;  // pixels of a strip that marks when a processor was down
const TOP_MIN = 10;  // payments a second, payments or milliseconds: less is drawn as little

const CHARTS = [
  { title: "Payments a second", unit: format.decimal, shaded: true, series: (names) => [
    { name: "accepted", label: "accepted", colour: "--accepted", filled: true },
    ...names.map((name, index) => ({
      name: `settled/${name}`, label: `settled on ${name}`, colour: processorColour(index) }))] },
  { title: "Payments that wait", unit: format.count, series: () => [
    { name: "waiting", label: "waiting", colour: "--waiting", filled: true }] },
  { title: "Time until an answer", unit: format.ms, series: () => [
    { name: "p50Ms", label: "p50", colour: "--p50" }, { name: "p99Ms", label: "p99", colour: "--p99" }] },
  { title: "Latency of the processors", unit: format.ms, shaded: true, series: (names) =>
    names.map((name, index) => ({ name: `latencyMs/${name}`, label: name, colour: processorColour(index) })) },
];

const processorColour = (index) => `--processor-${index % 6}`;
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();  // #rrggbb

let charts = [];
let drawnNames = "";

/** Draw what is known now, of processors with these names. */
export function draw(parent, names) {
  if (drawnNames !== names.join("\n") || !charts.length) {
    charts.forEach((chart) => chart.destroy());
    charts = CHARTS.map((about) => new Chart(about, names));
    parent.replaceChildren(...charts.map((chart) => chart.figure));
    drawnNames = names.join("\n");
  }
  const xs = seconds();
  charts.forEach((chart) => chart.update(xs));
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () =>
  charts.forEach((chart) => chart.plot.redraw(false)));

class Chart {
  constructor(about, names) {
    this.about = about;
    this.names = names;
    this.series = about.series(names);
    this.legend = make("div", { className: "legend" });
    const ariaLabel = `${about.title} over the last five minutes`;
    const place = make("div", { className: "plot", role: "img", ariaLabel });
    this.figure = make("figure", {}, make("figcaption", {}, make("h3", {}, about.title), this.legend), place);
    this.plot = new uPlot(this.options(), [[], ...this.series.map(() => [])], place);
    this.resizing = new ResizeObserver(([{ contentRect: { width, height } }]) => {
      if (width && height) this.plot.setSize({ width: Math.floor(width), height: Math.floor(height) });
    });
    this.resizing.observe(place);
  }

  options() {
    const axis = {
      stroke: () => css("--soft"), font: FONT, ticks: { show: false },
      grid: { stroke: () => css("--line"), width: 1 } };
    return {
      width: 300, height: 160, legend: { show: false }, padding: [10, 8, 0, 0],
      cursor: { y: false, drag: { x: false, y: false, setScale: false }, sync: { key: "fiel", scales: ["x", null] } },
      scales: { y: { range: (_, __, top) => uPlot.rangeNum(0, Math.max(top ?? 0, TOP_MIN), 0.1, true) } },
      axes: [
        { ...axis, space: 50, size: 28, incrs: [60, 120, 300], values: (_, splits) => splits.map(format.hourMinute) },
        { ...axis, space: 30, size: 48, values: (_, splits) => splits.map(format.axis) }],
      series: [{}, ...this.series.map(({ colour, filled }) => ({
        stroke: () => css(colour), width: 2, points: { show: false },
        ...(filled && { fill: () => `${css(colour)}2e` }) }))],
      hooks: {
        drawClear: this.about.shaded ? [(plot) => this.shade(plot)] : [],
        setCursor: [(plot) => this.showLegend(plot)],
      },
    };
  }

  update(xs) {
    this.xs = xs;
    this.plot.setData([xs, ...this.series.map(({ name }) => values(name, xs))]);
    this.showLegend(this.plot);
  }

  /** Shade when processors were down, each in its own colour and with its own strip at the top. */
  shade(plot) {
    const { ctx, bbox } = plot;
    const pixel = devicePixelRatio;
    ctx.save();
    this.names.forEach((name, index) => {
      ctx.fillStyle = css(processorColour(index));
      for (const [from, to] of this.outages(name)) {
        const left = Math.max(bbox.left, plot.valToPos(from - 1, "x", true));
        const width = Math.max(pixel, plot.valToPos(to, "x", true) - left);
        ctx.globalAlpha = 0.13;
        ctx.fillRect(left, bbox.top, width, bbox.height);
        ctx.globalAlpha = 1;
        ctx.fillRect(left, bbox.top + index * (STRIP + 1) * pixel, width, STRIP * pixel);
      }
    });
    ctx.restore();
  }

  /** Find the first and the last second of each outage. */
  outages(name) {
    const found = [];
    values(`down/${name}`, this.xs ?? []).forEach((down, index) => {
      if (!down) return;
      const second = this.xs[index];
      if (found.at(-1)?.[1] === second - 1) found.at(-1)[1] = second;
      else found.push([second, second]);
    });
    return found;
  }

  /** Show the values under the cursor, or the newest ones. */
  showLegend(plot) {
    const { cursor, data } = plot;
    const at = cursor.left >= 0 ? plot.posToIdx(cursor.left) : null;
    const keys = this.series.map(({ label, colour }, index) => {
      const column = data[index + 1] ?? [];
      const value = at === null ? column.slice(-RECENT).findLast((each) => each !== null) : column[at];
      const told = make("b", {}, value == null ? "–" : this.about.unit(value));
      return make("span", { className: `key ${colour.slice(2)}` }, `${label} `, told);
    });
    const shaded = !this.about.shaded ? [] : this.names.flatMap((name) => {
      const downS = this.outages(name).reduce((sum, [from, to]) => sum + to - from + 1, 0);
      return downS ? [pill(`${name} was down for ${format.duration(downS)}`, "bad")] : [];
    });
    show(this.legend, ...keys, ...shaded);
  }

  destroy() {
    this.resizing.disconnect();
    this.plot.destroy();
  }
}
