"""What working through Section 4 and Appendix C came to, statement by statement.

The numbers beside these sentences are in the tables of the page.
"""

FINDINGS = (
    (
        "Theorem 4.1",
        "Holds, and as an equality, if the gradient of L is read at z = BN(y), as the "
        "proof does: |∇_y L̂|² = (gamma²/sigma²) (|g|² - ⟨1, g⟩²/m - ⟨g, ŷ⟩²/m). Read "
        "at the outputs y of the identical normal network it fails on every second "
        "problem: the two networks compare at the same point of L only where z = y. "
        "With an epsilon in the variance the factor of the last term is (2 - s)/m, "
        "s = var/(var + epsilon): only then is the printed ≤ a strict inequality. For "
        "a batch of two the gradient is 0.",
    ),
    (
        "Theorem 4.2, first part",
        "An equality, (50), for g and H at z; the Hessian (41)-(42) is right in every "
        "sign and factor, 3/m and (30)'s gamma/(m sigma²) included. At y it fails like "
        "4.1.",
    ),
    (
        "Theorem 4.2, second part",
        "By the equality of the first part it says |v|_H ≤ |g|_H, v = ∇_y L̂. That H "
        '"preserves the relative norms" gives it only if |v| ≤ |g|; where |v| > |g|, '
        "preserved norms make it false. |gamma| ≤ sigma is enough, by 4.1. Without any "
        "such condition the curvature along the gradient obeys it: "
        "vᵀĤv/|v|² ≤ (gamma²/sigma²) (gᵀHg/|g|² - ⟨g, ŷ⟩/(m gamma)) if the curvature "
        "of L along v is at most that along g. The conclusion drawn in the text (H "
        "positive semi-definite and ⟨ŷ, g⟩ ≥ 0 imply more predictive gradients) needs "
        "0 < gamma ≤ sigma and |v|_H ≤ |g|_H too.",
    ),
    (
        "Observation 4.3",
        "The activations are the same with gamma = sigma and beta = mu. The minima are "
        "preserved if the layer has a bias or its inputs have mean 0 over the batch, "
        "and lost otherwise, on every random problem: subtracting the mean gives the "
        "network a bias that the normal one lacks, and its gradient at w* is not 0. "
        "(The paper's y = Wx, and its deep linear network, have no bias.)",
    ),
    (
        "Theorem 4.4",
        "Corrected, an equality: ĝ_j = (gamma²/sigma²) (g_j - λ² m mu_g² - "
        "(λ²/m) ⟨g, ŷ⟩²). As printed, g_j² stands for g_j, the second term lacks λ², "
        "the third 1/m; each misprint alone has counterexamples, and (17)'s 1/√m fails "
        "wherever ⟨g, ŷ⟩ ≠ 0. The maximum over X is to be taken with y = Xw held: with "
        "two or more inputs such X reach it, and both networks have the maximum "
        "λ² |gradient with respect to y|². If y moved along with X the normalized "
        "network's maximum would be infinite, since sigma can be made small.",
    ),
    (
        "Lemma 4.5",
        "The algebra is right and an equality: kW* is the projection of W_0 on the ray "
        "of W*. With several optima the nearest ray may be another's, hence ≤. The "
        "condition k > 0 is needed. But the ray consists of optima of the normalized "
        "network only where 4.3 preserves minima. For squared error the normalized "
        "network's optima are the ray of the regression *with* a constant, the normal "
        "network's optimum is the regression without: for inputs that are not centred "
        "the printed inequality fails on most problems that meet its condition.",
    ),
    (
        "Theorem C.1",
        "Its proof shows the bound at inputs with X Xᵀ = λ² I, where it holds with ≤ "
        "(a linear loss gives equality, so < is wrong) under the corrected conditions "
        "of 4.2. (58), that the maximum over X lies there, is false unless v is an "
        "eigenvector: X can tilt v. With the true maxima, found exactly, the theorem "
        "fails even for a linear loss. (57) lacks gamma/sigma and the mean of g. What "
        "does bound the maximum is λ⁴ |v|² λ_max(Ĥ).",
    ),
    (
        "Facts C.1, C.2",
        "Hold as printed, and with any epsilon if sigma includes it.",
    ),
)
