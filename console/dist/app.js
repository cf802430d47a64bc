const answer = await fetch("/api/v1/services");
const main = document.getElementById("app");
if (answer.ok) {
  const { services } = await answer.json();
  const list = document.createElement("ul");
  for (const service of services) {
    const item = document.createElement("li");
    item.textContent = `${service.name}: ${service.instances.length}`;
    list.append(item);
  }
  main.append(list);
} else {
  main.textContent = `${answer.status} ${answer.statusText}`;
}
