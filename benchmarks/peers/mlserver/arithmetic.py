"""The arithmetic as a custom MLServer runtime; the two models use the runtimes that MLServer ships."""

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse
from scoring import load as load_score


class Arithmetic(MLModel):
    """Multiply and add."""

    async def load(self) -> bool:
        """Nothing is read."""
        self.score = load_score("arithmetic", "")
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Score the tensor [[a, b, c]]."""
        a, b, c = self.decode(payload.inputs[0], default_codec=NumpyCodec)[0]
        prediction = NumpyCodec.encode_output("prediction", self.array(self.score({"a": a, "b": b, "c": c})))
        return InferenceResponse(model_name=self.name, outputs=[prediction])

    @staticmethod
    def array(value):
        """Return *value* as the array that the codec wants."""
        import numpy

        return numpy.array([value])
