/** Who acts at a site, each with credentials of its own. */
export const roles = ["agent", "keeper", "restorer"] as const
export type Role = (typeof roles)[number]

export interface PolicyRequest {
  /** The site's name in the configuration. */
  readonly site: string
  /** The agent whose own prefix an agent may write; unused for the others. */
  readonly agent: string
}

/** Below these, in the bucket of packs, an agent creates: its own, and copies of what the root has signed. */
export function createdBy(agent: string): readonly string[] {
  return [`v1/${agent}/`, "v1/trust/", "v1/repository-", "v1/recover-"]
}

/** Every agent is somebody of its own; of keepers and restorers there is one each. */
export function actorOf(role: Role, { agent }: PolicyRequest): string {
  return role === "agent" ? `agent-${agent}` : role
}

export const keysPrefix = "v1/keys/"
