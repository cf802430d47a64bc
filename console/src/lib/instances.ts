import type { Instance, InstanceCounts } from "../api/types";

/** How many instances are in each state. */
export function countInstances(instances: readonly Instance[]): InstanceCounts {
  const counts: InstanceCounts = { passing: 0, warning: 0, critical: 0 };
  for (const { status } of instances) counts[status] += 1;
  return counts;
}
