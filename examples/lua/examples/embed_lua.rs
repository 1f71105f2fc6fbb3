//! Embeds the interpreter: a script that is not trusted, with a function and a type in Rust, limits, and an
//! interrupt.
//!
//! ```sh
//! cargo run --release -p lua --example embed_lua
//! ```

use std::time::Duration;

use lua::host::{HostType, Methods};
use lua::{Config, Interpreter, Libraries, Limit, OnLimit, ScriptError};

/// A type whose objects scripts hold.
struct Canvas {
    cells: Vec<u8>,
}

impl HostType for Canvas {
    const NAME: &'static str = "Canvas";

    fn methods(methods: &mut Methods<Canvas>) {
        methods.add("draw", |canvas, call| {
            let (at, letter) = (call.int(1)?, call.string(2)?);
            let cell = usize::try_from(at - 1).ok().and_then(|at| canvas.cells.get_mut(at));
            let cell = cell.ok_or_else(|| call.bad_argument(1, "outside of the canvas"))?;
            *cell = letter.as_bytes().first().copied().unwrap_or(b' ');
            call.ret_none()
        });
        methods.add("show", |canvas, call| call.ret(call.ctx.str(&canvas.cells)?));
    }
}

const SCRIPT: &str = r#"
    local canvas = new_canvas(8)
    function paint(text)
      for i = 1, #text do canvas:draw(i, text:sub(i, i)) end
      return canvas:show()
    end
    function hoard() local all = {} while true do all[#all + 1] = ("x"):rep(1000) end end
    function hang() while true do pcall(hang) end end
"#;

fn main() -> Result<(), ScriptError> {
    let config = Config::new()
        .libraries(Libraries::safe())
        .max_heap_bytes(16 << 20)
        .time_limit(Duration::from_secs(10))
        .on_limit(Limit::Interrupt, OnLimit::Uncatchable);
    let mut lua = Interpreter::new(config)?;
    lua.register_type::<Canvas>()?;
    lua.register("new_canvas", |call| {
        let width = usize::try_from(call.int(0)?).unwrap_or(0).min(1000);
        call.ret(call.new_userdata(Canvas { cells: vec![b'.'; width] })?)
    })?;
    lua.run_source(SCRIPT, "=script", &[])?;

    println!("{:?}", lua.call("paint", &["heap".into()])?);
    println!("{}", lua.call("paint", &["much too long".into()]).unwrap_err());
    println!("{}", lua.call("hoard", &[]).unwrap_err());

    let interrupter = lua.interrupter();
    let stop = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        interrupter.interrupt();
    });
    println!("{}", lua.call("hang", &[]).unwrap_err());
    stop.join().expect("the thread only sleeps and interrupts");
    Ok(())
}
