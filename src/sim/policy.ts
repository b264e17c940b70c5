// Code of a user in the place of a decision of ours. Whatever is wrong with it (it throws, gives
// something that is not an answer, breaks a rule) becomes one kind of error that has its name.

/** A policy has failed; the run cannot go on. */
export class PolicyError extends Error {
  /** Which one: `vms[0].policies.spin`. */
  readonly policy: string;

  constructor(policy: string, problem: string) {
    super(`the policy ${policy} ${problem}`);
    this.name = 'PolicyError';
    this.policy = policy;
  }
}

/** Which policy is being asked; if one never returns, whoever stopped it finds its name here. */
export class PolicyWatch {
  underWay: string | null = null;

  /**
   * A policy that is watched.
   * @param problemOf what is wrong with an answer, to complete "the policy x ...", or null
   */
  guard<Question extends readonly unknown[], Answer>(
    name: string,
    policy: (...question: Question) => Answer,
    problemOf: (answer: Answer, ...question: Question) => string | null,
  ): (...question: Question) => Answer {
    return (...question) => {
      const answer = this.ask(name, () => policy(...question));
      const problem = problemOf(answer, ...question);
      if (problem !== null) throw new PolicyError(name, problem);
      return answer;
    };
  }

  private ask<Answer>(name: string, policy: () => Answer): Answer {
    const outer = this.underWay;
    this.underWay = name;
    try {
      const answer = policy();
      this.underWay = outer;
      return answer;
    } catch (thrown) {
      this.underWay = outer;
      if (thrown instanceof PolicyError) throw thrown;
      throw new PolicyError(name, `throws ${thrown instanceof Error ? thrown.message : thrown}`);
    }
  }
}
