// Real defects to choose from, one a button. In: props.tiles, chosen, note, page, pages, range. Out: props.value, the
// token of what was chosen, or "page:" and a number, and the event "input". What is chosen is said by the server.
const find = (selector) => element.querySelector(selector);
const tiles = find(".tiles");
let applied = null;

function tile(token, title, source) {
  const button = document.createElement("button");
  button.type = "button";
  button.dataset.token = token;
  button.title = title;
  button.setAttribute("role", "radio");
  if (source) {
    const picture = document.createElement("img");
    picture.src = source;
    picture.alt = title;
    button.append(picture);
  } else button.textContent = "Any";
  return button;
}

function send(token) {
  props.value = token;
  trigger("input");
}

function refresh() {
  const list = props.tiles || [], key = list.map((entry) => entry[0] + entry[2].length).join();
  if (key !== applied) {
    applied = key;
    tiles.replaceChildren(...(list.length ? [tile("any", "Any defect of the class", "")] : []), ...list.map((entry) => tile(...entry)));
  }
  for (const button of tiles.children) button.setAttribute("aria-checked", String(button.dataset.token === props.chosen));
  find(".note").innerHTML = props.note || "";
  find(".pages").hidden = !(props.pages > 1);
  find(".range").textContent = props.range || "";
  find('[data-turn="-1"]').disabled = props.page <= 0;
  find('[data-turn="1"]').disabled = props.page >= props.pages - 1;
}

element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button || button.disabled) return;
  send(button.dataset.token || "page:" + (props.page + Number(button.dataset.turn)));
});
watch(["tiles", "chosen", "note", "page", "pages", "range"], refresh);
refresh();
