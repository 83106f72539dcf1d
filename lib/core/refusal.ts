/** A refusal: what is answered instead of the app. */
export interface Refusal {
  readonly status: 503 | 429
  readonly reason: 'shed' | 'limit' | 'drain'
  /** One sentence for the operator: which limit, monitor or level. */
  readonly detail: string
  readonly retryAfterS: number
}
