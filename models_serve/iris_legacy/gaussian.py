"""A Gaussian naive Bayes classifier in plain Python, small enough to read.

model.pkl holds an object of this class. Only text, lists and floats are in it, so the pickle loads on every
Python and with every version of every library. A pickle of a scikit-learn estimator does not: it belongs to the
version that wrote it, which then has to be pinned in requirements.txt.
"""

import math


class GaussianNaiveBayes:
    """Learns the mean and the spread of each column for each class."""

    def fit(self, rows, labels):
        """Learn from rows of numbers and one label for each row."""
        self.classes = sorted(set(labels))
        members = {
            one: [r for r, label in zip(rows, labels, strict=True) if label == one] for one in self.classes
        }
        self.shares = [len(members[one]) / len(rows) for one in self.classes]
        columns = [list(zip(*members[one], strict=True)) for one in self.classes]
        self.means = [[math.fsum(c) / len(c) for c in per_class] for per_class in columns]
        self.variances = [
            [math.fsum((x - mean) ** 2 for x in c) / len(c) + 1e-9 for c, mean in zip(cs, means, strict=True)]
            for cs, means in zip(columns, self.means, strict=True)
        ]
        return self

    def predict_proba(self, row):
        """Return the probability of each class for one row, in the order of `classes`."""
        scores = [
            math.log(share) + sum(map(log_density, row, means, variances))
            for share, means, variances in zip(self.shares, self.means, self.variances, strict=True)
        ]
        best = max(scores)
        weights = [math.exp(score - best) for score in scores]
        return [weight / sum(weights) for weight in weights]


def log_density(x, mean, variance):
    """Return the logarithm of the normal density at x."""
    return -0.5 * (math.log(2 * math.pi * variance) + (x - mean) ** 2 / variance)
