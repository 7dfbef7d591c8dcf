"""A TorchX component: a training script under torchrun, with the address of a bridge.

torchx run --scheduler kubernetes examples/torchx_component.py:trainer --image ... --script train.py --bridge host:50051
Needs torchx where it is launched; the image needs trainbridge.
"""

import torchx.specs


def trainer(
    image: str, script: str, bridge: str, nodes: int = 1, processes: int = 1
) -> torchx.specs.AppDef:
    """Run a training script whose processes report to a bridge.

    Args:
        image: container image with the script, its libraries and trainbridge
        script: path of the script in the image
        bridge: host:port of the bridge
        nodes: how many replicas
        processes: how many processes on each
    """
    return torchx.specs.AppDef(
        name="trainer",
        roles=[
            torchx.specs.Role(
                name="trainer",
                image=image,
                entrypoint="torchrun",
                args=[
                    f"--nnodes={nodes}",
                    f"--nproc-per-node={processes}",
                    f"--rdzv-id={torchx.specs.macros.app_id}",
                    "--rdzv-backend=c10d",
                    f"--rdzv-endpoint={torchx.specs.macros.rank0_env}",
                    script,
                ],
                # The id of the rendezvous is what all processes have in common: session_id="auto" takes it.
                env={"TRAINBRIDGE_ADDRESS": bridge},
                num_replicas=nodes,
            )
        ],
    )
