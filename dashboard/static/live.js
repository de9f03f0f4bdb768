// The live page: its state comes as JSON, the cameras' pictures as binary messages; each is acknowledged once drawn.
"use strict";

const page = document.getElementById("live");
const texts = JSON.parse(page.dataset.texts);
const sides = JSON.parse(page.dataset.sides);
const language = document.documentElement.lang;
const SILENT_MS = 20000; // nodes say every 15 s how they are
const SERVER_MS = 4000; // the server says something every second
const LOGGED_OUT = 4401;
const CATEGORIES = ["normal", "component", "solder", "scrap", "unjudged"];
const by = (id) => document.getElementById(id);
const number = (value) => value.toLocaleString(language);
const rounded = (value) => value.toLocaleString(language, value < 10000 ? {} : { notation: "compact", maximumFractionDigits: 2 });

let state = null;
let judgedNow = null; // whose pictures stand there
let clockAhead = 0; // of the server's, ms
let heardAt = performance.now();
const openedAt = Date.now();
let wait = 500;

function make(tag, kind, text) {
  const element = document.createElement(tag);
  if (kind) element.className = kind;
  if (text !== undefined) element.textContent = text;
  return element;
}

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `${page.dataset.icons}#${name}`);
  svg.append(use);
  return svg;
}

function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function age(at) {
  const seconds = Math.max(0, Math.round((Date.now() + clockAhead - at) / 1000));
  if (seconds < 100) return texts.ago_s.replace("{n}", seconds);
  if (seconds < 6000) return texts.ago_min.replace("{n}", Math.round(seconds / 60));
  return texts.ago_h.replace("{n}", Math.round(seconds / 3600));
}

function clock(at) {
  return new Date(at).toLocaleTimeString(language, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
}

// The stream

function connect() {
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/live`);
  socket.binaryType = "arraybuffer";
  socket.onmessage = (event) => {
    heardAt = performance.now();
    wait = 500;
    if (typeof event.data === "string") take(JSON.parse(event.data));
    else drawPicture(event.data).finally(() => acknowledge(socket, event.data));
  };
  socket.onclose = (event) => {
    if (event.code === LOGGED_OUT) location.reload();
    else setTimeout(again, wait);
    wait = Math.min(wait * 2, 5000);
  };
}

async function again() {
  try {
    const answer = await fetch("/api/live", { headers: { accept: "application/json" } });
    if (answer.status === 401) return location.reload(); // which leads to the login
  } catch {
    // no server: the page says so
  }
  connect();
}

function acknowledge(socket, data) {
  if (socket.readyState === WebSocket.OPEN) socket.send(String(new Uint8Array(data, 0, 1)[0]));
}

async function drawPicture(data) {
  const canvas = document.querySelector(`[data-side="${new Uint8Array(data, 0, 1)[0]}"]`);
  if (!canvas) return;
  try {
    const bitmap = await createImageBitmap(new Blob([new Uint8Array(data, 1)], { type: "image/jpeg" }));
    draw(canvas, bitmap);
    bitmap.close();
  } catch {
    canvas.parentElement.classList.remove("shown"); // no picture that can be decoded
  }
}

function draw(canvas, picture) {
  if (canvas.width !== picture.width || canvas.height !== picture.height) {
    canvas.width = picture.width;
    canvas.height = picture.height;
  }
  canvas.getContext("2d").drawImage(picture, 0, 0);
  canvas.parentElement.classList.add("shown");
}

// The state

function take(message) {
  const before = state;
  clockAhead = message.now - Date.now();
  state = message.state;
  if (state.page && state.page !== page.dataset.version) return location.reload();
  if (!state.shift) return;
  const isNew = state.verdict && state.verdict.id !== before?.verdict?.id;
  showVerdict();
  showCounts();
  showLast();
  showNodes();
  showJudged();
  showAges();
  if (isNew && before) sound.say(state.verdict.category);
}

function showVerdict() {
  const verdict = state.verdict;
  const panel = page.querySelector(".verdict");
  panel.dataset.category = verdict ? verdict.category : "";
  put(by("word"), verdict ? texts[verdict.category] : texts.waiting);
  const shape = `${page.dataset.icons}#${verdict ? verdict.category : "waiting"}`;
  if (by("shape").getAttribute("href") !== shape) by("shape").setAttribute("href", shape);
}

function showCounts() {
  const shift = state.shift;
  put(by("hours"), `${clock(shift.begins).slice(0, 5)}–${clock(shift.ends).slice(0, 5)}`);
  put(by("boards"), number(shift.boards));
  put(by("target"), shift.target ? `/${rounded(shift.target)}` : "");
  by("progress").hidden = !shift.target;
  if (shift.target) {
    by("progress").value = Math.min(1, shift.boards / shift.target);
    by("progress").title = `${texts.target}: ${number(shift.target)}, ${texts.due}: ${number(shift.due)}`;
    page.querySelector(".counts").classList.toggle("late", shift.boards < shift.due);
  }
  put(by("yield"), shift.yield === null ? "–" : `${(Math.floor(shift.yield * 1000) / 10).toLocaleString(language, { minimumFractionDigits: 1 })}%`);
  const shown = CATEGORIES.filter((each) => shift.counts[each]);
  const key = JSON.stringify(shift.counts);
  if (by("counts").dataset.key === key) return;
  by("counts").dataset.key = key;
  by("counts").replaceChildren(...shown.map((each) => {
    const chip = make("span", "chip");
    chip.dataset.category = each;
    chip.append(icon(each), make("span", "", number(shift.counts[each])));
    chip.title = texts[each];
    return chip;
  }));
}

function showLast() {
  const key = state.boards.map((each) => each.id).join();
  if (by("last").dataset.key === key) return;
  by("last").dataset.key = key;
  by("last").replaceChildren(...state.boards.map((each) => {
    const item = make("li");
    item.dataset.category = each.category;
    item.title = [texts[each.category], each.board, each.serial, ...each.classes].filter(Boolean).join(" · ");
    item.append(icon(each.category), make("b", "", texts[each.category]), make("small", "", clock(each.at)));
    return item;
  }));
}

function showNodes() {
  const key = JSON.stringify(state.nodes);
  if (by("nodes").dataset.key === key) return;
  by("nodes").dataset.key = key;
  by("nodes").replaceChildren(...state.nodes.map((each) => {
    const item = make("li", each.state);
    item.title = each.detail;
    item.append(make("i"), make("b", "", each.node), make("small", "", each.state === "online" ? texts.state_online : each.detail || texts[`state_${each.state}`]));
    return item;
  }));
}

// The last judged pictures, with boxes and heat

function load(address) {
  return new Promise((resolve, reject) => {
    const image = new Image();
    image.onload = () => resolve(image);
    image.onerror = () => reject(new Error(address));
    image.src = address;
  });
}

let shownJudged = "";
let loading = false; // one board after the other, so that a slow screen shows some of a fast line, and not none

async function showJudged() {
  const judged = state.judged;
  const key = judged ? `${judged.id} ${Object.keys(judged.pictures).join()}` : "";
  if (!judged || loading || shownJudged === key) return;
  loading = true;
  const loaded = await Promise.all(sides.map((side) => loadSide(judged, side)));
  loading = false;
  shownJudged = key;
  sides.forEach((side, place) => drawJudged(document.querySelector(`[data-judged="${side}"]`), judged.pictures[side], loaded[place], judged));
  judgedNow = judged;
  by("judged-word").hidden = false;
  by("judged-word").dataset.category = judged.category;
  by("judged").dataset.category = judged.category;
  by("judged-word").replaceChildren(icon(judged.category), make("span", "", texts[judged.category]));
  showAges();
  showJudged(); // the one that came meanwhile
}

async function loadSide(judged, side) {
  const picture = judged.pictures[side];
  if (!picture) return null;
  const address = (kind) => `/live/judged?${new URLSearchParams({ id: judged.id, side, kind })}`;
  try {
    return await Promise.all([load(address("picture")), picture.heat ? load(address("heat")) : null]);
  } catch {
    return null;
  }
}

function drawJudged(canvas, picture, images, judged) {
  canvas.parentElement.classList.toggle("shown", Boolean(images));
  if (!images) return;
  const [frame, heat] = images;
  draw(canvas, frame);
  const context = canvas.getContext("2d");
  if (heat) context.drawImage(heat, 0, 0, canvas.width, canvas.height);
  const thick = Math.max(2, canvas.width / 200);
  for (const box of picture.boxes) drawBox(context, box, canvas, thick, judged.category);
}

function drawBox(context, box, canvas, thick, category) {
  const [x, y, w, h] = [box.x * canvas.width, box.y * canvas.height, box.w * canvas.width, box.h * canvas.height];
  const colour = getComputedStyle(page).getPropertyValue(`--${category}`) || "#fff";
  context.lineWidth = thick * 2.2;
  context.strokeStyle = "#111";
  context.strokeRect(x, y, w, h);
  context.lineWidth = thick;
  context.strokeStyle = colour;
  context.strokeRect(x, y, w, h);
  const size = Math.max(12, canvas.width / 26);
  context.font = `600 ${size}px system-ui, sans-serif`;
  const label = `${box.class} ${Math.round(box.confidence * 100)}%`;
  const width = context.measureText(label).width + size * 0.6;
  const left = Math.max(0, Math.min(x, canvas.width - width));
  const top = y > size * 1.4 ? y - size * 1.35 : Math.min(canvas.height - size * 1.35, y + h);
  context.fillStyle = "#111c";
  context.fillRect(left, top, width, size * 1.3);
  context.fillStyle = "#fff";
  context.textBaseline = "middle";
  context.fillText(label, left + size * 0.3, top + size * 0.68);
}

// What grows old

function showAges() {
  if (state?.verdict) {
    const { board, serial, product, at, classes } = state.verdict;
    put(by("about"), [age(at), product, classes.join(", "), serial || board].filter(Boolean).join(" · "));
  }
  if (judgedNow) put(by("judged-about"), [age(judgedNow.at), judgedNow.serial || judgedNow.board].join(" · "));
  const fault = faultNow();
  const alarm = by("alarm");
  if (fault && alarm.hidden) sound.say("alarm");
  alarm.hidden = !fault;
  put(alarm, fault);
  page.classList.toggle("stale", Boolean(fault));
  const database = state?.database ? texts.no_database : "";
  if (database && !fault) by("hours").title = state.database;
  page.querySelector(".counts").dataset.fault = database;
}

function faultNow() {
  const server = performance.now() - heardAt;
  if (server > SERVER_MS) return texts.no_server.replace("{s}", Math.round(server / 1000));
  if (!state) return "";
  const news = Math.max(0, Date.now() + clockAhead - (state.news ?? openedAt + clockAhead));
  if (!state.broker) return texts.no_broker.replace("{s}", Math.round(news / 1000));
  return news > SILENT_MS ? texts.no_news.replace("{s}", Math.round(news / 1000)) : "";
}

// Sound, once somebody has touched something: browsers play none before

const sound = {
  // Of each: frequency (Hz) and length (s) of its tones
  tones: {
    normal: [[1320, 0.07]],
    component: [[520, 0.18], [520, 0.18]],
    solder: [[520, 0.14], [520, 0.14], [520, 0.14]],
    scrap: [[262, 0.45], [196, 0.45]],
    unjudged: [[392, 0.15], [587, 0.25]],
    alarm: [[880, 0.2], [660, 0.2], [880, 0.2], [660, 0.2]],
  },
  on: localStorage.getItem("sound") !== "off",
  context: null,

  show() {
    by("sound").setAttribute("aria-pressed", String(this.on));
  },

  toggle() {
    this.on = !this.on;
    localStorage.setItem("sound", this.on ? "on" : "off");
    this.show();
    this.wake();
    this.say("normal");
  },

  wake() {
    this.context ??= new AudioContext();
    this.context.resume();
  },

  say(what) {
    if (!this.on || this.context?.state !== "running") return;
    let at = this.context.currentTime;
    for (const [frequency, length] of this.tones[what] ?? []) {
      const tone = new OscillatorNode(this.context, { frequency, type: "triangle" });
      const loudness = new GainNode(this.context, { gain: what === "normal" ? 0.15 : 0.5 });
      loudness.gain.setTargetAtTime(0, at + length * 0.8, 0.02);
      tone.connect(loudness).connect(this.context.destination);
      tone.start(at);
      tone.stop(at + length + 0.1);
      at += length + 0.08;
    }
  },
};

by("sound").addEventListener("click", () => sound.toggle());
for (const kind of ["pointerdown", "keydown"]) addEventListener(kind, () => sound.wake(), { once: true });
sound.show();
setInterval(showAges, 1000);
connect();
